"""How badly labels near a place were foreseen by members that had not seen them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from theoros.models.twins.left_out import FARTHEST, LeftOut
from theoros.models.twins.training import Table

#: Labels count as near within the distance, in the median, to the one after so many.
NEIGHBOURS = 5
#: Far from all labels the twin is taken at its word; beside one this counts next to nothing.
PRIOR = 1e-3
#: So many labels tell what is near, and so many distances are held at once.
MOST_ASKED, MOST_HELD = 500, 4_000_000


@dataclass(frozen=True, eq=False)
class Foreseen:
    """Labels that some member had not seen: scaled conditions `rows` ``n x d`` and squared errors `squares` ``n x m``.

    Errors are those of the members that had not seen the label, over the variance that noise and ignorance give: one on
    average where the twin is honest, NaN where the label lacks the output. A label counts at a place by a Gaussian of
    their distance, `reach` wide.
    """

    rows: Tensor
    squares: Tensor
    reach: float

    @classmethod
    def of(cls, left_out: LeftOut, table: Table) -> Foreseen:
        """Of what members say of the labels in `table`; the labels that all members have seen tell nothing."""
        unseen = table.blind.any(0)
        squares = left_out.residuals(table).square().clamp_max(FARTHEST)
        rows, squares = (part[unseen].double().cpu() for part in (table.conditions, squares))
        return cls(rows, squares, _reach(rows))

    def near(self, rows: Tensor) -> Tensor:
        """The mean square (``b x m``) of labels near the scaled conditions ``b x d``; one where there are none."""
        if not len(self.rows):
            return torch.ones((len(rows), self.squares.shape[1]), dtype=torch.float64)
        known = self.squares.isfinite()
        sums = torch.stack([torch.where(known, self.squares, 0.0), known.double()])
        found = torch.empty((len(rows), self.squares.shape[1]), dtype=torch.float64)
        step = max(1, MOST_HELD // max(1, len(self.rows)))
        for start in range(0, len(rows), step):
            apart = _apart(rows[start : start + step].double(), self.rows)
            likeness = (-0.5 * (apart / self.reach).square()).exp()
            errors, weights = likeness @ sums
            found[start : start + step] = (errors + PRIOR) / (weights + PRIOR)
        return found


def nothing_foreseen(outcomes: int) -> Foreseen:
    """Before any label: the twin is taken at its word everywhere."""
    return Foreseen(torch.zeros((0, 0), dtype=torch.float64), torch.zeros((0, outcomes), dtype=torch.float64), 1.0)


def _reach(rows: Tensor) -> float:
    """The median over labels of the distance to the `NEIGHBOURS`-th nearest other one."""
    if len(rows) < 2:
        return 1.0
    distances = _apart(rows[:MOST_ASKED], rows).sort(1).values  # the first is the label itself
    return max(float(distances[:, min(NEIGHBOURS, len(rows) - 1)].median()), 1e-6)


def _apart(these: Tensor, those: Tensor) -> Tensor:
    """Distances ``a x b``, by differences: products would depend on what is asked together, in the last digits."""
    return torch.cdist(these, those, compute_mode="donot_use_mm_for_euclid_dist")
