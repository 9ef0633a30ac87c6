"""How many decisions have to wait so that no slot ever does."""

from __future__ import annotations

import math
from dataclasses import dataclass

#: Weight of the newest measurement in the running means.
_WEIGHT = 0.2
#: Decisions kept waiting for each that is used up, on average, while the next ones are made: slots that began
#: together end together, so the average alone would leave some of them waiting.
_BURST = 4
#: A slot is given as many evaluations at once as take it this long (seconds), so that an oracle that answers at once
#: is not slowed down by what it takes to ask it; and never more than this.
_AT_ONCE_SECONDS = 0.05
MOST_AT_ONCE = 32


@dataclass
class Pace:
    """Running means of what an evaluation and a decision take (seconds), and the margin that follows from them.

    An oracle that takes hours leaves a margin of one: its decisions are made as late, and so on as much, as possible.
    Where decisions are `guided` by a model there is never more than one for each slot: what is decided early is decided
    on less, and an oracle that answers at once would have its whole budget decided by the first model.
    """

    slots: int
    guided: bool = True
    evaluation: float | None = None
    decision: float | None = None

    def evaluated(self, seconds: float) -> None:
        """An evaluation took so long."""
        self.evaluation = _mean(self.evaluation, seconds)

    def decided(self, seconds: float) -> None:
        """Decisions were wanted, and came so much later."""
        self.decision = _mean(self.decision, seconds)

    @property
    def margin(self) -> int:
        """Decisions that should wait beside the running evaluations."""
        if self.evaluation is None or self.decision is None:
            return 1
        used_up = self.slots * self.decision / max(self.evaluation, 1e-3)
        most = self.slots * (1 if self.guided else 2 * MOST_AT_ONCE)
        return max(1, min(math.ceil(_BURST * used_up), most))

    def at_once(self, waiting: int, free: int) -> int:
        """Evaluations that each of `free` slots should be given now, of those that are `waiting`."""
        if self.evaluation is None:
            return 1
        quick = int(_AT_ONCE_SECONDS / max(self.evaluation, 1e-6))
        return max(1, min(quick, MOST_AT_ONCE, waiting // max(free, 1)))


def _mean(old: float | None, new: float) -> float:
    return new if old is None else (1 - _WEIGHT) * old + _WEIGHT * new
