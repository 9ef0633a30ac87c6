"""The gatekeeper brings molecules before gates, remembers the verdicts, and counts what was turned away and why."""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from theoros.oracles.candidate import Candidate
from theoros.oracles.failures import InvalidCandidate
from theoros.oracles.spaces.gates.base import Gate, Subject

#: Gate -> reason -> how many molecules were turned away for it.
Counts = dict[str, dict[str, int]]

#: Verdicts that are remembered; the one asked for longest ago is forgotten first.
MOST_VERDICTS = 200_000
#: Reasons of one gate that are told apart until the counts are taken, and characters of one.
MOST_REASONS = 100
LONGEST_REASON = 120
#: What counts the rest, and what counts text that is no molecule at all.
OTHER = "other reasons"
READABLE = "readable"
#: What counts the texts of a proposer that are no molecules of the space.
SPACE = "space ({})"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Verdict:
    """Whether a molecule passed the quick gates, and the slow ones too (None: they have not been asked).

    It is `unfit` where a slow gate has judged it and turned it away.
    """

    early: bool
    late: bool | None = None
    unfit: bool = False


class Gatekeeper:
    """Holds the gates of a campaign, and its counts; a campaign over molecules without gates has one for these.

    Called with a candidate it asks the quick gates only, in their order up to the first that turns the candidate away:
    it is a `theoros.models.data.Problem`'s veto, and stands thousands of calls. `admits` asks the slow gates as
    well, whose verdicts models learn from (`take_unfit`): what they turn away costs time, as what fails does. Each
    distinct molecule is judged once, and counted once, as long as it is remembered.

    A gate that raises, or would end the process, has failed to judge a molecule, and turns it away: a campaign is not
    to stop for it. Nothing is learned from that. Sent to another process, a gatekeeper begins there with its gates and
    without memory.
    """

    def __init__(self, gates: Sequence[Gate]) -> None:
        self.gates = tuple(gates)
        self._early = tuple(gate for gate in self.gates if not gate.late)
        self._late = tuple(gate for gate in self.gates if gate.late)
        self._verdicts: OrderedDict[str, _Verdict] = OrderedDict()
        self._counts: dict[str, Counter[str]] = {}
        self._unfit: list[Candidate] = []
        self._told: set[str] = set()

    def __reduce__(self) -> tuple[type[Gatekeeper], tuple[tuple[Gate, ...]]]:
        """Pickle the gates alone."""
        return Gatekeeper, (self.gates,)

    @property
    def has_late(self) -> bool:
        """Whether any gate is only for candidates that are about to be chosen."""
        return bool(self._late)

    def __call__(self, candidate: Candidate) -> bool:
        """Whether the candidate passes the quick gates."""
        return self._verdict(_smiles(candidate)).early

    def admits(self, candidate: Candidate) -> bool:
        """Whether the candidate passes all gates."""
        smiles = _smiles(candidate)
        verdict = self._verdict(smiles)
        if verdict.early and verdict.late is None:
            passes = self._passes(self._late, smiles)
            verdict = _Verdict(True, bool(passes), passes is False)
            self._verdicts[smiles] = verdict
        if verdict.unfit and smiles not in self._told:
            self._told.add(smiles)
            self._unfit.append(candidate)
        return verdict.early and bool(verdict.late)

    def refused(self, proposer: str, reason: str) -> None:
        """Count what `proposer` made and the space did not admit, each time: no gate has seen it."""
        self._count(SPACE.format(proposer), reason)

    def take_counts(self) -> Counts:
        """What was turned away since the last call, by gate in their order and by reason, the most frequent first.

        Before the gates comes what the space did not admit, by who made it.
        """
        order = {name: place for place, name in enumerate((READABLE, *(gate.name for gate in self.gates)))}
        names = sorted(self._counts, key=lambda name: order.get(name, -1))
        taken = {name: dict(self._counts[name].most_common()) for name in names}
        self._counts = {}
        return taken

    def take_unfit(self) -> list[Candidate]:
        """What slow gates have turned away since the last call, in its order; each molecule once."""
        taken, self._unfit = self._unfit, []
        return taken

    def begin_anew(self) -> None:
        """For another campaign: verdicts stand, and what slow gates turn away is told from the beginning."""
        self._unfit, self._told = [], set()

    def _verdict(self, smiles: str) -> _Verdict:
        known = self._verdicts.get(smiles)
        if known is None:
            known = self._verdicts[smiles] = _Verdict(bool(self._passes(self._early, smiles)))
            if len(self._verdicts) > MOST_VERDICTS:
                self._verdicts.popitem(last=False)
        else:
            self._verdicts.move_to_end(smiles)
        return known

    def _passes(self, gates: Sequence[Gate], smiles: str) -> bool | None:
        """Whether all `gates` let a molecule through, None where one before has failed to judge it."""
        if not gates:
            return True
        subject = self._subject(smiles)
        if subject is None:
            return False
        verdicts = (self._lets_through(gate, subject) for gate in gates)
        return next((verdict for verdict in verdicts if not verdict), True)

    def _subject(self, smiles: str) -> Subject | None:
        from theoros.oracles.spaces.molecules import read_smiles

        try:
            molecule, canonical = read_smiles(smiles)
        except InvalidCandidate:
            self._count(READABLE, "it is no SMILES of a possible molecule")
            return None
        return Subject(canonical, molecule)

    def _lets_through(self, gate: Gate, subject: Subject) -> bool | None:
        """None where the gate fails."""
        try:
            reason = gate.reason(subject)
        except (Exception, SystemExit) as error:
            logger.warning("the gate %r failed at %s, which is turned away", gate.name, subject.smiles, exc_info=True)
            self._count(gate.name, f"the gate failed: {type(error).__name__}")
            return None
        if reason is None:
            return True
        self._count(gate.name, reason)
        return False

    def _count(self, gate: str, reason: str) -> None:
        counts = self._counts.setdefault(gate, Counter())
        if reason in counts:  # as nearly always: searches refuse thousands of texts
            counts[reason] += 1
            return
        text = " ".join(reason.split())[:LONGEST_REASON]
        counts[text if text in counts or len(counts) < MOST_REASONS else OTHER] += 1


def _smiles(candidate: Candidate) -> str:
    data: Any = candidate.data
    return str(data["smiles"])


def merged(counts: Iterable[Mapping[str, Mapping[str, int]]]) -> Counts:
    """The sum of several counts: gates in the order in which they first occur, reasons the most frequent first."""
    total: dict[str, Counter[str]] = {}
    for part in counts:
        for gate, reasons in part.items():
            total.setdefault(gate, Counter()).update(reasons)
    return {gate: dict(reasons.most_common()) for gate, reasons in total.items()}
