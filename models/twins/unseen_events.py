"""Could a twin's events be told from the oracle's? Tests over the latest labels that it had drawn before they came.

A label and its draw have the same conditions: they are a pair, and both tests compare within pairs, which chance
swaps when the twin is right. Only the outcomes can differ then, and tens of labels tell something.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from theoros.models.data import Array
from theoros.models.encoders import encoder_for
from theoros.models.twins.scoring import ratio
from theoros.models.twins.scoring_calibration import LEVELS, central_coverage, worst_bin
from theoros.models.twins.scoring_two_samples import TwoSample, gaussian_kernel, in_common_units
from theoros.models.twins.unseen import Score, Unseen, together
from theoros.oracles.candidate import Candidate
from theoros.oracles.spaces.base import Space
from theoros.oracles.spaces.parameters import Parameters

#: So many of the latest labels are looked at, and so many whole ones are needed to compare samples.
WINDOW, LEAST = 200, 20
#: Outcomes count as so many deviations at most: one that was far off shall not hide the others.
FARTHEST = 10.0
#: Swaps by which the discrepancy's p-value is found.
SWAPS = 999


@dataclass(frozen=True)
class Events:
    """Pairs of events at the same conditions (n): what came, and what a twin that had not seen it drew.

    `conditions` are ``n x d``, between 0 and 1, and without columns where candidates are no parameters. `observed` and
    `drawn` (``n x m``) are in deviations from the mean of the twin's other draws, so that outcomes of different places
    compare; NaN where a label lacks an output. `pit`, `crps` and `believed` are those of `Unseen`, ``n x m``.
    """

    outputs: tuple[str, ...]
    conditions: Array
    observed: Array
    drawn: Array
    pit: Array
    crps: Array
    believed: Array

    @classmethod
    def of(cls, unseen: Unseen, space: Space, candidates: Sequence[Candidate], values: Array) -> Events:
        """Of the labels `values` (``p x m``) of `candidates` (p), in the order of `unseen`."""
        named = isinstance(space, Parameters)
        conditions = encoder_for(space).encode(candidates).numpy() if named else np.empty((len(candidates), 0))
        kept = (unseen.mean, unseen.std, unseen.draw, unseen.pit, unseen.crps, unseen.believed)
        mean, std, draw, pit, crps, believed = (np.array(own).T for own in kept)
        unit = np.where(std > 0, std, 1.0)
        observed, drawn = (np.clip((own - mean) / unit, -FARTHEST, FARTHEST) for own in (values, draw))
        return cls(unseen.outputs, np.asarray(conditions, dtype=np.float64), observed, drawn, pit, crps, believed)

    def after(self, earlier: Events | None) -> Events:
        """The latest `WINDOW` of `earlier` events and these; these alone where those are of other outputs."""
        if earlier is None or earlier.outputs != self.outputs:
            return self
        pairs = ((getattr(earlier, name), getattr(self, name)) for name in _ARRAYS)
        return Events(self.outputs, *(np.concatenate(pair)[-WINDOW:] for pair in pairs))

    def scores(self, seed: int) -> list[Score]:
        """``draws_coverage_50``, ``_90`` and ``_95`` of each output: the share of labels in the central intervals of
        what was drawn; ``draws_coverage_90_worst_bin``, the same in the bin of the conditions that is least honest, and
        ``_p``, how likely chance finds one like it (`worst_bin`); and ``crps_ratio_believed``, the CRPS over the
        process's own, if that scatters as the twin believes. Of all outputs together, from `LEAST` labels on, ``mmd``
        and ``c2st`` with ``mmd_p`` and ``c2st_p``.
        """
        found = []
        relative, both = ratio(self.crps, self.believed), np.isfinite(self.crps) & np.isfinite(self.believed)
        for output, value, n in zip(self.outputs, relative.tolist(), both.sum(0).tolist(), strict=True):
            found.append(Score(output, "crps_ratio_believed", value, n))
        for output, pits in zip(self.outputs, self.pit.T, strict=True):
            n = int(np.isfinite(pits).sum())
            for level in LEVELS if n else ():
                found.append(Score(output, f"draws_coverage_{100 * level:.0f}", central_coverage(pits, level), n))
            if (worst := worst_bin(pits, self.conditions, 0.9)) is not None:
                place, p = worst
                found.append(Score(output, "draws_coverage_90_worst_bin", place.coverage[0], place.n))
                found.append(Score(output, "draws_coverage_90_worst_bin_p", p, n))
        whole = np.isfinite(self.observed).all(1) & np.isfinite(self.drawn).all(1)
        n = int(whole.sum())
        if n >= LEAST:
            came, drew = (np.column_stack([self.conditions, own])[whole] for own in (self.observed, self.drawn))
            tests = {
                "mmd": paired_discrepancy(came, drew, np.random.default_rng(seed)),
                "c2st": paired_classifier(came, drew, seed=seed),
            }
            for metric, (statistic, p) in tests.items():
                found += [
                    Score(together(self.outputs), metric, statistic, n),
                    Score(together(self.outputs), f"{metric}_p", p, n),
                ]
        return found


#: The fields of `Events` that have a row for each pair.
_ARRAYS = ("conditions", "observed", "drawn", "pit", "crps", "believed")


def paired_discrepancy(first: Array, second: Array, rng: np.random.Generator) -> TwoSample:
    """The squared maximum mean discrepancy of pairs, ``n x d`` each, without bias; about zero when they are alike.

    A Gaussian kernel over columns in units of their deviations, the median distance its width; the one-sample
    U-statistic, in which no event meets its own partner (Gretton et al., JMLR 13, 723 (2012), lemma 6). The p-value is
    by `SWAPS` swaps of partners. Raises ValueError for fewer than ten pairs.
    """
    kernel, n = gaussian_kernel(np.concatenate(in_common_units(first, second))), len(first)
    terms = kernel[:n, :n] + kernel[n:, n:] - kernel[:n, n:] - kernel[n:, :n]
    np.fill_diagonal(terms, 0.0)
    # A swap of partners i turns the signs of row and column i.
    signs = np.where(rng.random((SWAPS + 1, n)) < 0.5, -1.0, 1.0)
    signs[0] = 1.0
    values = ((signs @ terms) * signs).sum(1) / (n * (n - 1))
    # Equal values differ by rounding, as with the swap of all partners.
    return TwoSample(float(values[0]), float((values >= values[0] - 1e-12).mean()))


def paired_classifier(first: Array, second: Array, *, seed: int, folds: int = 5) -> TwoSample:
    """How often a classifier that has seen neither event of a pair, ``n x d`` each, says rightly which sample an event
    is of: 1/2 when it can't tell.

    Lopez-Paz & Oquab, ICLR 2017, arXiv:1610.06545, with gradient-boosted trees; partners are left out together. The
    p-value is that of a sign test over the pairs of which both events, or neither, were told rightly.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import GroupKFold, cross_val_predict

    n = len(first)
    kinds, pairs = np.repeat([0, 1], n), np.tile(np.arange(n), 2)
    model = HistGradientBoostingClassifier(max_iter=50, max_leaf_nodes=8, min_samples_leaf=10, random_state=seed)
    split = GroupKFold(folds, shuffle=True, random_state=seed)
    said = cross_val_predict(model, np.concatenate([first, second]), kinds, groups=pairs, cv=split)
    right = (said == kinds).reshape(2, n).sum(0)
    won, lost = int((right == 2).sum()), int((right == 0).sum())
    p = float(binomtest(won, won + lost, alternative="greater").pvalue) if won + lost else 1.0
    return TwoSample(float(right.mean() / 2), p)
