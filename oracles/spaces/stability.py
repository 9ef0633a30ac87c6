"""Rules that tell a molecule one could put in a bottle from a valence-correct drawing.

Public alert collections (Brenk, NIH, PAINS) are made for drug screening: they reject aldehydes, nitro groups, thiols,
imines and most small rings, which physical chemistry asks about every day. These rules reject only groups that
rearrange, polymerise, lose water or explode on their own under ordinary conditions, and rings whose strain keeps them
from existing. A molecule that passes is not promised to be stable; one that fails is rarely worth a calculation.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

#: RDKit allows hydrogen on sulfur(IV), phosphorus(V) and their like (SH4, PH5), which lose it. Phosphorus keeps one or
#: two beside its oxygen or sulfur (phosphonates, secondary phosphine oxides), or bonded to boron (phosphine boranes).
HYPERVALENT_HYDRIDE = "hydrogen on a hypervalent atom"
#: Rule -> SMARTS of what breaks it. Names are shown to people: "rejected by the rule 'peroxide'".
PATTERNS: dict[str, str] = {
    HYPERVALENT_HYDRIDE: (
        "[$([#16,#34,#52;!v2]),$([#53;!v1]),$([#15,#33;!v3;!$([*X4;H1,H2]~[#8X1,#16X1,#34X1]);!$([*+X4]-[#5-])]);!H0]"
    ),
    "peroxide or dioxygen": "[#8]~[#8]",
    "halogen-halogen bond": "[F,Cl,Br,I]-[F,Cl,Br,I]",
    "heteroatom-halogen bond": "[#7,#8,$([#16X2]),$([#16X3])]-[F,Cl,Br,I]",
    "chain of three heteroatoms": "[#7,#8,#16X1,#16X2;!a;+0]~[#7,#8,#16X2;!a;+0]~[#7,#8,#16X1,#16X2;!a;+0]",
    "ring of five heteroatoms in a row": "[n,o,s]~[n,o,s]~[n,o,s]~[n,o,s]~[n,o,s]",
    "heteroaromatic ring of more than six atoms": "[n,o,s;r7,r8,r9]",
    "sulfenic acid, ester or amide": "[SX2;!a]-[#7,#8;!a]",
    "thiol on a heteroatom": "[SX2H1]-[#7,#8,#16]",
    "sulfur doubly bonded to nitrogen or sulfur": "[#16;!v6;!a]=[#7,#16]",
    "sulfine or sulfur monoxide": "[SX1,$([SX2]=[#6])]=[OX1]",
    "diazene with hydrogen": "[NX2;H1]=[NX2]",
    "enol": "[OX2H1,SX2H1]-[CX3]=[CX2,CX3]",
    "primary enamine": "[NX3H2]-[CX3]=[CX2,CX3;!$(C-C=O);!$(C-C#N);!$(C-N(=O)~O)]",
    "ynol or ynamine": "[OX2H1,SX2H1,NX3H1,NX3H2]-[CX2]#[#6]",
    "cyanate": "[OX2]-C#N",
    "hydrate, hemiacetal or hemiaminal": "[OX2H1,SX2H1]-[CX4]-[OX2,SX2,NX3v3;!$(N-C=[O,S,N])]",
    "aminal with hydrogen": "[NX3;H1,H2;!$(N-C=[O,S,N])]-[CX4]-[OX2,SX2,NX3v3;!$(N-C=[O,S,N])]",
    "halogen beside a donor": "[F,Cl,Br,I]-[CX4]-[OX2H1,NX3v3,SX2H1]",
    "imidoyl halide": "[F,Cl,Br,I]-[CX3]=[NX2]",
    "imine with hydrogen": "[NX2H1]=[CX3;!$(C-[N,O,S])]",
    "imidic acid": "[OX2H1,SX2H1]-[#6X3]=[NX2;!a]",
    "ketene": "[CX2](=C)=[O,S,N]",
    "cumulene": "C=C=C=*",
    "nitroso": "[NX2]=[OX1]",
    "thial or thioketone": "[CX3;!$(C-[N,O,S])]=[SX1]",
    "carbonic or carbamic acid": "[OX2H1,SX2H1]-[CX3](=[OX1,SX1])-[OX2,NX3,SX2,F,Cl,Br,I]",
    "sulfur ylide or sulfene": "[#16;v4,v6]=[#6]",
    "three-coordinate sulfur(VI)": "[SX3v6]",
    "isocyanate on a heteroatom": "[N,O,S]-[NX2]=[CX2]",
    "sulfinic acid": "[SX3v4](=O)-[OX2H1]",
    "formyl halide": "[CX3H1](=O)-[F,Cl,Br,I]",
    "double bond in a three-membered ring": "*1~*=*1",
    "three-membered ring with an exocyclic double bond": "[r3]=[!r3]",
    "two heteroatoms in a three-membered ring": "[N,O,S;r3]-[N,O,S;r3]",
    "cyclobutadiene": "*1=*~*=*1",
    "unsaturated four-membered ring with a heteroatom": "[#6]1=[#6]~*~[N,O]1",
    "heteroatom bond in a four-membered ring": "[N,O,S;r4]-;@[N,O,S;r4]",
    "two heteroatoms in a four-membered ring": "[N,O]1~*~[N,O,S]~*1",
    "triple bond in a small ring": "[r3,r4,r5,r6,r7]#[r3,r4,r5,r6,r7]",
    "cumulated bonds in a small ring": "[r3,r4,r5,r6,r7,r8]=;@[r3,r4,r5,r6,r7,r8]=;@[r3,r4,r5,r6,r7,r8]",
    "aromatic bond in a small ring": "[r3,r4]:;@[r3,r4]",
}


def broken_rule(molecule: Any) -> str | None:
    """The name of the first rule that an RDKit molecule breaks, or None."""
    for name, pattern in _compiled().items():
        if molecule.HasSubstructMatch(pattern):
            return name
    return _broken_ring_rule(molecule)


def is_hypervalent_hydride(molecule: Any) -> bool:
    """Whether an RDKit molecule breaks `HYPERVALENT_HYDRIDE`, which generators keep in other spaces too."""
    return bool(molecule.HasSubstructMatch(_compiled()[HYPERVALENT_HYDRIDE]))


@lru_cache(maxsize=1)
def _compiled() -> dict[str, Any]:
    from rdkit import Chem

    return {name: Chem.MolFromSmarts(smarts) for name, smarts in PATTERNS.items()}


def _broken_ring_rule(molecule: Any) -> str | None:
    from rdkit.Chem import HybridizationType
    from rdkit.Chem.rdMolDescriptors import CalcNumBridgeheadAtoms

    rings = [set(ring) for ring in molecule.GetRingInfo().AtomRings()]
    if len(rings) < 2:
        return None
    small = [ring for ring in rings if len(ring) <= 4]
    if len(small) > 2:
        return "more than two rings of three or four atoms"
    if len(small) == 2 and len(small[0] & small[1]) > 1:
        return "fused rings of three or four atoms"
    if any(sum(atom in ring for ring in rings) > 2 for atom in set().union(*small)):
        return "an atom of a small ring in three rings"
    bridgeheads: Any = []
    CalcNumBridgeheadAtoms(molecule, bridgeheads)
    for index in bridgeheads:
        if molecule.GetAtomWithIdx(index).GetHybridization() != HybridizationType.SP3:
            return "unsaturated bridgehead (Bredt)"
    for ring in small:
        unsaturated = [molecule.GetAtomWithIdx(i).GetHybridization() != HybridizationType.SP3 for i in ring]
        fused = any(ring is not other and len(ring & other) > 1 for other in rings)
        if fused and sum(unsaturated) > 1:
            return "unsaturated small ring fused to another ring"
    return None
