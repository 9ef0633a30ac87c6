"""How many decisions have to wait so that no slot ever does."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from statistics import median

#: Weight of the newest evaluation in their running mean.
_WEIGHT = 0.2
#: What a decision takes is the median of so many: the first one also waits for a model worker to start, which says
#: nothing about those to come.
_LAST_DECISIONS = 5
#: Decisions kept waiting for each that is used up, on average, while the next ones are made: slots that began
#: together end together, so the average alone would leave some of them waiting.
_BURST = 4
#: A slot is given as many evaluations at once as take it this long (seconds), so that an oracle that answers at once
#: is not slowed down by what it takes to ask it; and never more than this.
_AT_ONCE_SECONDS = 0.05
MOST_AT_ONCE = 32
#: Decisions are thought over when those that wait last for so many times as long as one takes.
_CALM = 2.0
#: Evaluations that are all shorter than this (seconds) are given to a slot before it is free.
_SOON = 1.0
#: How fast a long evaluation is forgotten: a factor for each later one.
_FADING = 0.98


@dataclass
class Pace:
    """What an evaluation and a decision take of late (seconds), and the margin that follows from that.

    An oracle that takes hours leaves a margin of one: its decisions are made as late, and so on as much, as possible.
    Where decisions are `guided` by a model there is never more than one for each slot: what is decided early is decided
    on less, and an oracle that answers at once would have its whole budget decided by the first model.
    """

    slots: int
    guided: bool = True
    evaluation: float | None = None
    longest: float = 0.0
    decision: float | None = None
    _decisions: deque[float] = field(default_factory=lambda: deque(maxlen=_LAST_DECISIONS))

    def evaluated(self, seconds: float) -> None:
        """An evaluation took so long."""
        self.evaluation = _mean(self.evaluation, seconds)
        self.longest = max(seconds, _FADING * self.longest)

    def decided(self, seconds: float) -> None:
        """Decisions were wanted, and came so much later."""
        self._decisions.append(seconds)
        self.decision = median(self._decisions)

    @property
    def margin(self) -> int:
        """Decisions that should wait beside the running evaluations."""
        if self.evaluation is None or self.decision is None:
            return 1
        used_up = self._used_up(self.evaluation, self.decision)
        most = self.slots * (1 if self.guided else 2 * MOST_AT_ONCE)
        return max(1, min(math.ceil(_BURST * used_up), most))

    def calm(self, margin: int) -> bool:
        """Whether `margin` waiting decisions last while others are thought over, so that no slot waits for that."""
        if self.evaluation is None or self.decision is None:
            return True
        return margin > _CALM * self._used_up(self.evaluation, self.decision)

    def _used_up(self, evaluation: float, decision: float) -> float:
        """Decisions that are used up, on average, while one is made."""
        return self.slots * decision / max(evaluation, 1e-3)

    @property
    def groups(self) -> int:
        """Groups of evaluations that a slot should have: one to work on and, where all are over soon, one that waits
        there, so that the next begins at once and not when the last answer has come home.
        """
        return 2 if self.evaluation is not None and self.longest < _SOON else 1

    def at_once(self, waiting: int, free: int) -> int:
        """Evaluations that each of `free` slots should be given now, of those that are `waiting`."""
        if self.evaluation is None:
            return 1
        quick = int(_AT_ONCE_SECONDS / max(self.evaluation, 1e-6))
        return max(1, min(quick, MOST_AT_ONCE, waiting // max(free, 1)))


def _mean(old: float | None, new: float) -> float:
    return new if old is None else (1 - _WEIGHT) * old + _WEIGHT * new
