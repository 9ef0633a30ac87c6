"""Twenty of the 23 scoring functions of the benchmark PMO (practical molecular optimization), with RDKit alone.

The definitions are those of GuacaMol (Brown, Fiscato, Segler & Vaucher, J. Chem. Inf. Model. 59, 1096 (2019),
doi:10.1021/acs.jcim.8b00839) as the Therapeutics Data Commons state them from version 0.4.0 on (hydrogens count in a
formula; geometric means for formulas, zaleplon and sitagliptin) and as PMO uses them (Gao, Fu, Sun & Coley,
arXiv:2206.12411). `qed` is that of Bickerton et al., Nature Chem. 4, 90 (2012), doi:10.1038/nchem.1243. Left out are
drd2, gsk3b and jnk3, which need trained classifiers.

A score is a component or a mean of several: `benchmarks.pmo_components` says how each is computed, the table here
which. Where the Commons let two hops in one process share a pattern, so that the second call spoils the first, each has
its own here. The tests hold the scores against values that others have published.
"""

from __future__ import annotations

from collections.abc import Mapping

from rdkit import Chem, rdBase

from benchmarks.pmo_components import (
    Component,
    Formula,
    Mean,
    Pattern,
    Property,
    Similarity,
    arithmetic,
    at_least,
    at_most,
    clipped,
    geometric,
    like,
    near,
)

#: The molecules that the tasks are about, as SMILES. `pharmacophore` is what decorator and scaffold hops keep.
DRUGS: Mapping[str, str] = {
    "albuterol": "CC(C)(C)NCC(O)c1ccc(O)c(CO)c1",
    "amlodipine": r"Clc1ccccc1C2C(=C(/N/C(=C2/C(=O)OCC)COCCN)C)\C(=O)OC",
    "camphor": "CC1(C)C2CCC1(C)C(=O)C2",
    "celecoxib": "CC1=CC=C(C=C1)C1=CC(=NN1C1=CC=C(C=C1)S(N)(=O)=O)C(F)(F)F",
    "fexofenadine": "CC(C)(C(=O)O)c1ccc(cc1)C(O)CCCN2CCC(CC2)C(O)(c3ccccc3)c4ccccc4",
    "menthol": "CC(C)C1CCC(C)CC1O",
    "mestranol": "COc1ccc2[C@H]3CC[C@@]4(C)[C@@H](CC[C@@]4(O)C#C)[C@@H]3CCc2c1",
    "osimertinib": "COc1cc(N(C)CCN(C)C)c(NC(=O)C=C)cc1Nc2nccc(n2)c3cn(C)c4ccccc34",
    "perindopril": "O=C(OCC)C(NC(C(=O)N1C(C(=O)O)CC2CCCCC12)C)CCC",
    "pharmacophore": "CCCOc1cc2ncnc(Nc3ccc4ncsc4c3)c2cc1S(=O)(=O)C(C)(C)C",
    "ranolazine": "COc1ccccc1OCC(O)CN2CCN(CC(=O)Nc3c(C)cccc3C)CC2",
    "sildenafil": "CCCC1=NN(C2=C1N=C(NC2=O)C3=C(C=CC(=C3)S(=O)(=O)N4CCN(CC4)C)OCC)C",
    "sitagliptin": "Fc1cc(c(F)cc1F)CC(N)CC(=O)N3Cc2nnc(n2CC3)C(F)(F)F",
    "tadalafil": "O=C1N(CC(N2C1CC3=C(C2C4=CC5=C(OCO5)C=C4)NC6=C3C=CC=C6)=O)C",
    "thiothixene": "CN(C)S(=O)(=O)c1ccc2Sc3ccccc3C(=CCCN4CCN(C)CC4)c2c1",
    "troglitazone": "Cc1c(C)c2OC(C)(COc3ccc(CC4SC(=O)NC4=O)cc3)CCc2c(C)c1O",
    "zaleplon": "O=C(C)N(CC)C1=CC=CC(C2=CC=NC3=C(C=NN23)C#N)=C1",
}

#: Patterns of the hops and of valsartan, as SMARTS.
SCAFFOLD = "[#7]-c1n[c;h1]nc2[c;h1]c(-[#8])[c;h0][c;h1]c12"
SULFONE, BENZOTHIAZOLE = "CS([#6])(=O)=O", "[#7]-c1ccc2ncsc2c1"
DECORATION = "[#6]-[#6]-[#6]-[#8]-[#6]~[#6]~[#6]~[#6]~[#6]-[#7]-c1ccc2ncsc2c1"
VALSARTAN = "CN(C=O)Cc1ccc(c2ccccc2)cc1"


#: Every task, by its name.
SCORES: Mapping[str, Component] = {
    "albuterol_similarity": Similarity(DRUGS["albuterol"], "fcfp4", clipped(0.75)),
    "amlodipine_mpo": Mean(geometric, (Similarity(DRUGS["amlodipine"], "ecfp4"), Property("rings", near(3, 0.5)))),
    "celecoxib_rediscovery": Similarity(DRUGS["celecoxib"], "ecfp4"),
    "deco_hop": Mean(
        arithmetic,
        (
            Similarity(DRUGS["pharmacophore"], "pharmacophore", clipped(0.85)),
            Pattern(SULFONE, there=False),
            Pattern(BENZOTHIAZOLE, there=False),
            Pattern(SCAFFOLD),
        ),
    ),
    "fexofenadine_mpo": Mean(
        geometric,
        (
            Similarity(DRUGS["fexofenadine"], "pairs", clipped(0.8)),
            Property("tpsa", at_least(90, 10)),
            Property("logp", at_most(4, 1)),
        ),
    ),
    "isomers_c7h8n2o2": Formula({"C": 7, "H": 8, "N": 2, "O": 2}),
    "isomers_c9h10n2o2pf2cl": Formula({"C": 9, "H": 10, "N": 2, "O": 2, "P": 1, "F": 2, "Cl": 1}),
    "median1": Mean(geometric, (Similarity(DRUGS["camphor"], "ecfp4"), Similarity(DRUGS["menthol"], "ecfp4"))),
    "median2": Mean(geometric, (Similarity(DRUGS["tadalafil"], "ecfp6"), Similarity(DRUGS["sildenafil"], "ecfp6"))),
    "mestranol_similarity": Similarity(DRUGS["mestranol"], "pairs", clipped(0.75)),
    "osimertinib_mpo": Mean(
        geometric,
        (
            Similarity(DRUGS["osimertinib"], "fcfp4", clipped(0.8)),
            Similarity(DRUGS["osimertinib"], "ecfp6", at_most(0.85, 0.1)),
            Property("tpsa", at_least(100, 10)),
            Property("logp", at_most(1, 1)),
        ),
    ),
    "perindopril_mpo": Mean(
        geometric, (Similarity(DRUGS["perindopril"], "ecfp4"), Property("aromatic_rings", near(2, 0.5)))
    ),
    "qed": Property("qed"),
    "ranolazine_mpo": Mean(
        geometric,
        (
            Similarity(DRUGS["ranolazine"], "pairs", clipped(0.7)),
            Property("tpsa", at_least(95, 20)),
            Property("logp", at_least(7, 1)),
            Property("fluorines", near(1, 1)),
        ),
    ),
    "scaffold_hop": Mean(
        arithmetic,
        (
            Similarity(DRUGS["pharmacophore"], "pharmacophore", clipped(0.75)),
            Pattern(DECORATION),
            Pattern(SCAFFOLD, there=False),
        ),
    ),
    "sitagliptin_mpo": Mean(
        geometric,
        (
            Similarity(DRUGS["sitagliptin"], "ecfp4", near(0, 0.1)),
            like(DRUGS["sitagliptin"], "logp", 0.2),
            like(DRUGS["sitagliptin"], "tpsa", 5),
            Formula({"C": 16, "H": 15, "F": 6, "N": 5, "O": 1}),
        ),
    ),
    "thiothixene_rediscovery": Similarity(DRUGS["thiothixene"], "ecfp4"),
    "troglitazone_rediscovery": Similarity(DRUGS["troglitazone"], "ecfp4"),
    "valsartan_smarts": Mean(
        geometric,
        (
            Pattern(VALSARTAN),
            like(DRUGS["sitagliptin"], "tpsa", 5),
            like(DRUGS["sitagliptin"], "logp", 0.2),
            like(DRUGS["sitagliptin"], "bertz", 30),
        ),
    ),
    "zaleplon_mpo": Mean(
        geometric, (Similarity(DRUGS["zaleplon"], "ecfp4"), Formula({"C": 19, "H": 17, "N": 3, "O": 2}))
    ),
}

#: The tasks, in alphabetical order.
TASKS: tuple[str, ...] = tuple(SCORES)


def score(task: str, smiles: str) -> float:
    """The score of a molecule in [0, 1]; 0 for an empty string and for what RDKit cannot read.

    Raises ValueError for a task that is none of `TASKS`.
    """
    if task not in SCORES:
        raise ValueError(f"no task is called {task!r}; there are {', '.join(TASKS)}")
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
        return SCORES[task](molecule) if molecule is not None and molecule.GetNumAtoms() else 0.0
