"""How varied the molecules are that a campaign has labelled: how many circles they fill."""

from __future__ import annotations

from collections.abc import Sequence

from theoros.models.diversity import CIRCLE, circles
from theoros.orchestrator.report.chemical_map import labelled_molecules
from theoros.orchestrator.report.history import History, Sample
from theoros.orchestrator.report.structures import readable

#: The best molecules whose circles are counted beside those of all.
BEST = 100


def variety_sentence(history: History) -> str:
    """How many circles the labelled molecules fill, and the `BEST` of them; empty where there is none.

    A campaign with a quota is told of circles of the quota's own size too.
    """
    every = [sample.smiles for sample in labelled_molecules(history)]
    if not every:
        return ""
    best = _best(history.ranked) if len(every) > BEST else []
    if len(best) == BEST:
        told = f"The best {BEST} molecules fill {circles(best):,} circles, and all {len(every):,} {circles(every):,}"
    else:
        told = f"The {len(every):,} labelled molecules fill {circles(every):,} circles"
    told += (
        f": so many of them are pairwise less similar than {CIRCLE:g} (Tanimoto similarity of Morgan fingerprints of "
        "radius 2; Xie et al., arXiv:2112.12542)."
    )
    quota = history.campaign.spec.get("campaign", {}).get("diversity")
    if quota is not None:
        counts = [f"{circles(smiles, quota['similarity']):,}" for smiles in (best, every) if smiles]
        told += f" Of circles with the quota's similarity of {quota['similarity']:g} they fill {' and '.join(counts)}."
    return told


def _best(ranked: Sequence[Sample]) -> list[str]:
    """The `BEST` molecules, the best first."""
    found: dict[str, str] = {}
    for sample in ranked:
        if readable(sample.smiles) is not None:
            found.setdefault(sample.evaluation.candidate.hash, sample.smiles)
        if len(found) == BEST:
            break
    return list(found.values())
