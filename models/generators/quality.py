"""How good what a generator draws is: valid, distinct, new."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from theoros.oracles.failures import InvalidCandidate
from theoros.oracles.spaces.molecules import read_smiles


@dataclass(frozen=True)
class Quality:
    """Shares in [0, 1], each of what passed the one before; 0 where there is nothing to take a share of.

    As GuacaMol defines them (Brown et al., J. Chem. Inf. Model. 59, 1096 (2019), doi:10.1021/acs.jcim.8b00839):
    `validity` of the draws, `uniqueness` of the valid ones, and `novelty` of the distinct ones, which were not learned
    from.
    """

    validity: float
    uniqueness: float
    novelty: float


def quality(drawn: Sequence[str | None], learned: Collection[str]) -> Quality:
    """The quality of what was drawn: canonical SMILES, None where a draw is no molecule; `learned` are such as well."""
    valid = [smiles for smiles in drawn if smiles is not None]
    distinct = set(valid)
    return Quality(
        _share(len(valid), len(drawn)),
        _share(len(distinct), len(valid)),
        _share(len(distinct - set(learned)), len(distinct)),
    )


def canonical(texts: Iterable[str]) -> list[str | None]:
    """Texts as RDKit reads them, in their order: None for what is no molecule."""
    found: list[str | None] = []
    for text in texts:
        try:
            found.append(read_smiles(text)[1])
        except InvalidCandidate:
            found.append(None)
    return found


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
