"""Small versions of the proposers of molecules and where they are tested: quick, and trained once for all tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from theoros.models.contract import Proposer
from theoros.models.generators.flow3d import Flow3DSettings
from theoros.models.generators.flow3d_network import NetworkSettings
from theoros.models.generators.flow3d_training import TrainingSettings
from theoros.models.generators.gflownet_training import Balance, Corpus
from theoros.models.generators.language_model_search import Reinforcement
from theoros.models.generators.language_model_training import Training
from theoros.models.generators.selfies_vae_training import Training as VAETraining
from theoros.models.proposers.flow3d import Flow3DProposer
from theoros.models.proposers.genetic.algorithm import GeneticAlgorithm
from theoros.models.proposers.gflownet import GFlowNetProposer
from theoros.models.proposers.language_model import LanguageModelProposer
from theoros.models.proposers.selfies_edits import SelfiesEdits
from theoros.models.proposers.selfies_vae import SelfiesVAEProposer
from theoros.oracles.spaces import Molecules
from theoros.oracles.spaces.starting_molecules import shipped_smiles

#: What the three-dimensional model learns from.
CORPUS = ("CCO", "CC=O", "CC#N", "CCN", "COC", "CCF", "CCCO", "CC(C)O", "CCC=O", "NCCO", "CC(N)=O", "CC(F)F")
LANGUAGE_MODEL = LanguageModelProposer(Reinforcement(steps=12, batch=32), Training(molecules=4_000, batch=32))
GFLOWNET = GFlowNetProposer(Corpus(60, epochs=4, width=48), Balance(8, 32, 16), molecules=400)
SELFIES_VAE = SelfiesVAEProposer(chains=40, rounds=8, training=VAETraining(steps=250, batch=64))
TINY_FLOW = Flow3DSettings(
    network=NetworkSettings(scalars=16, vectors=4, layers=2, hidden=16),
    training=TrainingSettings(steps=40, batch=16, rate=1e-2, average=0.9),
    steps=8,
)
FLOW3D = Flow3DProposer(settings=TINY_FLOW, rounds=2, samples=8, times=(0.6, 0.95))

PROPOSERS: dict[str, Proposer] = {
    "genetic": GeneticAlgorithm(generations=2, offspring=40),
    "selfies": SelfiesEdits(generations=2, offspring=40),
    "language_model": replace(LANGUAGE_MODEL, reinforcement=Reinforcement(steps=3, batch=32)),
    "gflownet": GFLOWNET,
    "selfies_vae": SELFIES_VAE,
    "flow3d": FLOW3D,
}


def space_of(name: str, folder: Path) -> Molecules:
    """The space in which the proposer `name` is tested; a file for those that learn from few is made in `folder`."""
    if name == "language_model":
        return _from_file(folder / "language_model.smi", shipped_smiles()[200:800:3])
    if name == "flow3d":
        return _from_file(folder / "flow3d.smi", CORPUS)
    return Molecules(heavy_atoms=(1, {"selfies_vae": 5, "gflownet": 8}.get(name, 9)))


def _from_file(file: Path, smiles: tuple[str, ...]) -> Molecules:
    file.write_text("\n".join(smiles) + "\n")
    return Molecules(heavy_atoms=(1, 6), file=str(file))
