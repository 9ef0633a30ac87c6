"""What generators of molecules draw without being told what is wanted: valid, distinct, new, varied, and how fast?

    python -m benchmarks.generators

All learn from the same nine tenths of the shipped molecules of up to nine heavy atoms and draw `draws` molecules (the
three-dimensional one fewer). `validity` is the share of draws that are molecules of the space, `uniqueness` that of
distinct ones among these, `novelty` that of what was not learned from among the distinct ones; `diversity` is the mean
pairwise Tanimoto distance of Morgan fingerprints of radius 2 over distinct ones. `held_out` is the mean log-likelihood
of the left-out tenth, in nats per token, for the language model, and the share of it that comes back exactly for the
autoencoder; `equivariance` the largest relative error of the three-dimensional network's velocities under rotations and
reflections in single precision. Seconds are those of one core: training, and a thousand draws. ``corpus`` is what is
learned from, ``genetic`` and ``selfies`` have children of random molecules of it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator

from benchmarks.surroundings import apart
from benchmarks.table import Table, column, spread
from theoros.models.generators.quality import quality
from theoros.oracles.cache_folder import CACHE
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces import Molecules
from theoros.oracles.spaces.starting_molecules import shipped_smiles

TABLE = Table("generators", keys=("generator", "seed"))
DRAWS = 2_000


@dataclass(frozen=True)
class Drawn:
    """What a generator drew (None where it is no molecule of the space), what it learned from, and what else."""

    molecules: Sequence[Candidate | None]
    learned: Sequence[str]
    training: float
    drawing: float
    told: dict[str, float] = field(default_factory=dict)


def language_model(space: Molecules, held: Sequence[str], seed: int) -> Drawn:
    """GRU over SMILES."""
    from theoros.models.generators.language_model import samples
    from theoros.models.generators.language_model_training import encoded, per_token, prior_of

    started = time.process_time()
    model = prior_of(space).model
    trained = time.process_time()
    texts = samples(model, DRAWS, torch.Generator(device=model.device).manual_seed(seed))
    drawn = time.process_time()
    told = {"held_out": per_token(model, encoded(model.vocabulary, held, 2, seed))}
    return Drawn([space.reading(text) for text in texts], learned(space), trained - started, drawn - trained, told)


def selfies_vae(space: Molecules, held: Sequence[str], seed: int) -> Drawn:
    """Autoencoder over SELFIES."""
    from theoros.models.generators.selfies_strings import smiles_of, tokens_of
    from theoros.models.generators.selfies_vae_metrics import reconstruction, sampled
    from theoros.models.generators.selfies_vae_training import Training, fitted_to

    started = time.process_time()
    model = fitted_to(space, Training())
    trained = time.process_time()
    found = sampled(model, DRAWS, torch.Generator().manual_seed(seed))
    drawn = time.process_time()
    known = {token for row in (tokens_of(text) for text in learned(space)) if row for token in row}
    rows = [row for row in map(tokens_of, held) if row is not None and known.issuperset(row)]
    told = {"held_out": reconstruction(model, rows)}
    molecules = [space.reading(smiles_of(row)) for row in found]
    return Drawn(molecules, learned(space), trained - started, drawn - trained, told)


def gflownet(space: Molecules, held: Sequence[str], seed: int) -> Drawn:
    """Flow network over fragments, as it is before a decision."""
    from theoros.models.generators.gflownet_policy import sample
    from theoros.models.generators.gflownet_training import Corpus, flow_network

    started = time.process_time()
    network = flow_network(learned(space)[:4000], space.heavy_atoms[1], Corpus(), 0)
    trained = time.process_time()
    grown = sample(network.policy, network.environment, DRAWS, torch.Generator().manual_seed(seed))
    texts = [network.environment.smiles(growth) for growth in grown]
    drawn = time.process_time()
    return Drawn([space.reading(text) for text in texts], learned(space), trained - started, drawn - trained)


def flow3d(space: Molecules, held: Sequence[str], seed: int) -> Drawn:
    """Equivariant flow matching."""
    from theoros.models.proposers.flow3d import Flow3DProposer

    started = time.process_time()
    model = Flow3DProposer().model(space)
    trained = time.process_time()
    structures = model.sample(400, seed=seed)
    texts = [model.smiles(structure) for structure in structures]
    drawn = time.process_time()
    told = {"equivariance": equivariance(model, seed)}
    return Drawn([space.reading(text) for text in texts], learned(space), trained - started, drawn - trained, told)


def equivariance(model: Any, seed: int) -> float:
    """The largest difference between turning before and after the network, relative to its velocities."""
    from scipy.stats import ortho_group

    from theoros.models.generators.flow3d_matching import noise, velocity
    from theoros.models.generators.flow3d_network import State

    generator, worst = torch.Generator().manual_seed(seed), 0.0
    for i in range(10):
        positions, types = noise(8, 9, len(model.atoms), generator)
        bonds, times = torch.zeros(8, 9, 9, dtype=torch.long), torch.rand(8, generator=generator) * 0.9
        turn = torch.from_numpy(ortho_group.rvs(3, random_state=seed + i)).float()
        with torch.no_grad():
            plain, _ = velocity(model.network, State(positions, types, bonds, times, times))
            turned, _ = velocity(model.network, State(positions @ turn, types, bonds, times, times))
        worst = max(worst, float((turned - plain @ turn).abs().max() / plain.abs().max()))
    return worst


def genetic(space: Molecules, held: Sequence[str], seed: int) -> Drawn:
    """Children of random molecules by graph operators."""
    from theoros.models.proposers.genetic.algorithm import offspring

    rng = np.random.default_rng(seed)
    parents, started = space.sample(120, rng), time.process_time()
    children = offspring(parents, DRAWS, space, rng)
    return Drawn(children, learned(space), 0.0, time.process_time() - started)


def selfies(space: Molecules, held: Sequence[str], seed: int) -> Drawn:
    """Children of random molecules by edits of their strings."""
    from theoros.models.proposers.evolution import children
    from theoros.models.proposers.selfies_edits import SelfiesEdits

    rng = np.random.default_rng(seed)
    parents, breed = space.sample(120, rng), SelfiesEdits().breeder(space)
    known, started = {parent.hash for parent in parents}, time.process_time()
    born = [child for child, _ in children(parents, DRAWS, space, breed, rng, known)]
    return Drawn(born, learned(space), 0.0, time.process_time() - started)


def corpus(space: Molecules, held: Sequence[str], seed: int) -> Drawn:
    """What is learned from, for comparison."""
    started = time.process_time()
    found = space.sample(DRAWS, np.random.default_rng(seed))
    return Drawn(found, learned(space), 0.0, time.process_time() - started)


def learned(space: Molecules) -> list[str]:
    """The molecules that the space begins with."""
    return [candidate.text for candidate in space.seeds()]


GENERATORS: dict[str, Callable[[Molecules, Sequence[str], int], Drawn]] = {
    "corpus": corpus,
    "genetic": genetic,
    "selfies": selfies,
    "language_model": language_model,
    "selfies_vae": selfies_vae,
    "gflownet": gflownet,
    "flow3d": flow3d,
}


def measure(name: str, seed: int) -> None:
    """One generator, trained anew: a row of the table."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.environ[CACHE] = folder
        every = list(shipped_smiles())
        held = [every[i] for i in np.random.default_rng(0).permutation(len(every))[: len(every) // 10]]
        (Path(folder) / "nine_tenths.smi").write_text("\n".join(s for s in every if s not in set(held)) + "\n")
        space = Molecules(file=str(Path(folder) / "nine_tenths.smi"))
        drawn = GENERATORS[name](space, held, seed)
    texts = [None if candidate is None else candidate.text for candidate in drawn.molecules]
    shares = quality(texts, drawn.learned)
    TABLE.append(
        ("torch", "rdkit", "selfies", "e3nn"),
        generator=name,
        seed=seed,
        draws=len(texts),
        validity=f"{shares.validity:.3f}",
        uniqueness=f"{shares.uniqueness:.3f}",
        novelty=f"{shares.novelty:.3f}",
        diversity=f"{diversity([text for text in dict.fromkeys(texts) if text is not None][:500]):.3f}",
        held_out=f"{drawn.told['held_out']:.3f}" if "held_out" in drawn.told else "",
        equivariance=f"{drawn.told['equivariance']:.1e}" if "equivariance" in drawn.told else "",
        training_seconds=f"{drawn.training:.0f}",
        seconds_per_1000=f"{1000 * drawn.drawing / len(texts):.2f}",
    )


def diversity(smiles: Sequence[str]) -> float:
    """The mean pairwise Tanimoto distance."""
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    bits = [generator.GetFingerprint(Chem.MolFromSmiles(text)) for text in smiles]
    pairs = [DataStructs.BulkTanimotoSimilarity(one, bits[:i]) for i, one in enumerate(bits) if i]
    return 1.0 - float(np.mean(np.concatenate(pairs))) if pairs else 0.0


def main() -> None:
    """Add the rows that the table lacks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--generators", default=",".join(GENERATORS))
    options = parser.parse_known_args()[0]
    for seed in range(options.seeds):
        for name in options.generators.split(","):
            if not TABLE.has(generator=name, seed=seed):
                apart(measure, name, seed)
    rows = TABLE.rows()
    for name in options.generators.split(","):
        found = [f"{key} {spread(column(rows, key, generator=name))}" for key in ("validity", "uniqueness", "novelty")]
        print(f"{name:15}", "  ".join(found))


if __name__ == "__main__":
    main()
