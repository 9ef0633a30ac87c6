"""How large the noise is, read off labels that members had not seen, beside what they do not know."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from theoros.models.twins.training import Table

#: Squared errors count as no more than so many variances: a few labels near which a mean is far off don't decide.
FARTHEST = 9.0
#: Labels of an output from which on its noise is read.
LEAST_READ = 32
#: How much is kept of the contrast that the network of variances sees between noisy and quiet conditions.
CONTRASTS = (0.0, 0.25, 0.5, 0.75, 1.0)
#: By what the network's variance is multiplied at most, or at least one over it, and in how many steps it is tried.
FACTOR, LEVELS = 100.0, 161


@dataclass(frozen=True, eq=False)
class LeftOut:
    """What members that are blind to a label say of it together; a label to which none is blind is answered by all.

    `mean` ``n x m`` is their common mean, `spread` ``n x m`` the variance of all members' means, `log_variances` ``M x
    n x m`` the noise that each member has at the label, and `asked` ``M x n x 1`` is one for those who are asked.
    """

    mean: Tensor
    spread: Tensor
    log_variances: Tensor
    asked: Tensor

    @classmethod
    def of(cls, means: Tensor, log_variances: Tensor, table: Table) -> LeftOut:
        """Of the members' means and log variances at all labels, ``M x n x m``."""
        asked = torch.where(table.blind.any(0), table.blind, True)[..., None].to(means)
        return cls((means * asked).sum(0) / asked.sum(0), means.var(0), log_variances, asked)

    def residuals(self, table: Table) -> Tensor:
        """Errors in units of the deviation that noise and ignorance give, ``n x m``; NaN where a label lacks one."""
        return (table.outcomes - self.mean) / (self._average(self.log_variances.exp()) + self.spread).sqrt()

    def noise(self, table: Table) -> tuple[Tensor, Tensor]:
        """`contrast` and `level` (m each), with which ``contrast * log_variance + level`` is the noise's log variance.

        By the likelihood of the labels that some member did not see, in which an error is noise or ignorance: the
        variance of the members' means stands for the latter, so that labels which were chosen because members differ
        about them do not make the noise look large. A network of variances mistakes places where the mean is wrong for
        noisy ones, the more so the fewer labels there are: the least contrast is taken whose likelihood lies within a
        standard error of the best (Hastie et al., The Elements of Statistical Learning, 2nd ed., section 7.10). As the
        network has it, 1 and 0, where there are too few labels to tell.
        """
        squares = (table.outcomes - self.mean).square()
        contrast, level = torch.ones(squares.shape[1]), torch.zeros(squares.shape[1])
        for k in range(squares.shape[1]):
            known = squares[:, k].isfinite() & table.blind.any(0)
            if int(known.sum()) >= LEAST_READ:
                contrast[k], level[k] = self._read(squares[known, k], known, k)
        return contrast.to(self.mean), level.to(self.mean)

    def _read(self, squares: Tensor, known: Tensor, k: int) -> tuple[float, float]:
        """Contrast and level of output `k` by its squared errors (p) at the labels that are `known`."""
        logs, spread = self.log_variances[:, :, k : k + 1], self.spread[known, k]
        centre = float(self._average(logs)[known].mean())
        steps = torch.linspace(-math.log(FACTOR), math.log(FACTOR), LEVELS).to(squares)
        levels, losses = [], []
        for contrast in CONTRASTS:
            shape = self._average((contrast * (logs - centre)).exp())[known, 0]
            variances = math.exp(centre) * steps.exp()[:, None] * shape + spread
            lost = 0.5 * (variances.log() + (squares / variances).clamp_max(FARTHEST))
            best = int(lost.mean(1).argmin())
            levels.append(float(steps[best]) + centre * (1 - contrast))
            losses.append(lost[best])
        best = int(torch.stack(losses).mean(1).argmin())
        for contrast, level, lost in zip(CONTRASTS, levels, losses, strict=True):
            worse = lost - losses[best]
            if float(worse.mean()) <= float(worse.std()) / math.sqrt(len(worse)):
                return contrast, level
        return CONTRASTS[best], levels[best]  # not reached but for NaN: the best is no worse than itself

    def _average(self, values: Tensor) -> Tensor:
        """Over the members who are asked, ``n x ...``."""
        return (values * self.asked).sum(0) / self.asked.sum(0)
