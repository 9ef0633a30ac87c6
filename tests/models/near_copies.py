"""Molecules of which many are near copies of each other, and a witness of how full their circles are."""

from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator

from theoros.oracles.candidate import Candidate

CHAINS = [f"{'C' * n}{end}" for n in range(7, 15) for end in ("O", "N", "F", "S", "C#N")]
RINGS = [f"{end}c1ccc({other})cc1" for end in ("C", "O", "N", "F", "S") for other in ("CC", "OC", "Br", "C(=O)O")]


def candidate(smiles):
    return Candidate("molecule", {"smiles": Chem.CanonSmiles(smiles)})


def similarity(one, other):
    """By a way of its own, so that it is a witness."""
    morgan = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    bits = [morgan.GetFingerprint(Chem.MolFromSmiles(c.data["smiles"])) for c in (one, other)]
    return DataStructs.TanimotoSimilarity(*bits)


def fullest(candidates, quota):
    """How many lie in the fullest circle, from its definition."""
    distinct = list({c.hash: c for c in candidates}.values())
    return max((sum(similarity(one, other) > quota.similarity for other in distinct) for one in distinct), default=0)
