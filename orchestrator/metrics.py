"""Prometheus metrics of a running campaign, through Ray's own: docs/operations.md has their names.

Ray's agent on each node serves what its processes record, under ``ray_`` and the names below. It is told every ten
seconds; a counter stays, but a gauge that has not been set for that long is dropped, so they are set every few seconds.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import Any, ClassVar

from ray.util.metrics import Counter, Gauge, Histogram

from theoros.orchestrator.agents.bus import Agent, Bus
from theoros.orchestrator.agents.messages import (
    AttemptFailed,
    Decided,
    EvaluationEnded,
    EvaluationStarted,
    ModelUpdated,
    Notice,
    QueueShort,
)
from theoros.orchestrator.gateway import Gateway
from theoros.orchestrator.plan import Plan

#: Seconds between two settings of the gauges; Ray drops those that were not set within its ten.
REFRESH_EVERY = 4.0
#: Upper bounds of the histograms' buckets (seconds): about three a decade, from a millisecond to a week.
BOUNDARIES = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 300.0, 1e3, 3.6e3, 1e4, 3e4, 8.64e4, 6e5]


class Meter(Agent):
    """Counts what it hears and shows what the ledger knows.

    Messages are taken note of as they are published, which makes times exact and costs a few microseconds each; the
    database is never asked. Counters are of this session, gauges of the campaign.
    """

    handles: ClassVar = (AttemptFailed, QueueShort, Decided, EvaluationStarted, EvaluationEnded, ModelUpdated, Notice)

    def __init__(self, bus: Bus, gateway: Gateway, plan: Plan) -> None:
        super().__init__(bus)
        self._db = gateway
        self._instruments = _Instruments(plan.spec.campaign)
        self._workers: dict[int, str] = {}  # running evaluations, by sequence
        self._idle_since: dict[str, float] = {}
        self._slots: int | None = None
        self._model: ModelUpdated | None = None
        self._version: int | None = None

    async def run(self) -> None:
        """Keep the gauges fresh until cancelled; then nothing runs any more."""
        try:
            while True:
                self._show(self._db.ledger.count("running"), self._slots)
                await asyncio.sleep(REFRESH_EVERY)
        finally:
            self._show(0, 0)

    def deliver(self, message: Any) -> None:
        """Take note of a message at once."""
        instruments = self._instruments
        match message:
            case EvaluationStarted(sequence=sequence, worker=worker):
                instruments.started.inc()
                self._took_up(sequence, worker)
            case EvaluationEnded(sequence=sequence, failure_class=failure, seconds=seconds):
                instruments.ended.inc(tags={"outcome": _tag(failure or "done")})
                if seconds is not None:
                    _time(seconds, instruments.evaluation_seconds, instruments.busy_seconds)
                if worker := self._workers.pop(sequence, ""):
                    self._idle_since[worker] = time.monotonic()
            case AttemptFailed(sequence=sequence, failure_class=failure, seconds=seconds):
                instruments.failed.inc(tags={"outcome": _tag(failure)})
                if seconds is not None:
                    instruments.busy_seconds.inc(seconds)
                if worker := self._workers.pop(sequence, ""):
                    self._idle_since[worker] = time.monotonic()
            case Decided(evaluations=evaluations) if evaluations:
                instruments.decided.inc(len(evaluations))
            case ModelUpdated():
                self._learned(message)
            case Notice(kind=kind):
                instruments.notices.inc(tags={"kind": _tag(kind)})
            case QueueShort(slots=slots):
                self._slots = slots

    def _took_up(self, sequence: int, worker: str) -> None:
        if worker:
            self._workers[sequence] = worker
            since = self._idle_since.pop(worker, None)
            if since is not None:
                self._instruments.idle_seconds.observe(time.monotonic() - since)

    def _learned(self, update: ModelUpdated) -> None:
        """The learner speaks up after every look at the labels, and has made a version only if its number is new."""
        if update.belief is not None and update.version != self._version:
            self._instruments.fits.inc()
            _time(update.seconds, self._instruments.fit_seconds, self._instruments.fitting_seconds)
        self._version = update.version
        self._model = update

    def _show(self, running: int, slots: int | None) -> None:
        ledger, instruments = self._db.ledger, self._instruments
        instruments.running.set(running)
        instruments.queued.set(ledger.ready())
        instruments.labels.set(ledger.count("done"))
        instruments.cost.set(float(ledger.spent))
        if slots is not None:
            instruments.slots.set(slots)
        if self._model is not None:
            instruments.versions.set(self._model.version)
            error = self._model.error
            if error is not None and math.isfinite(error):
                instruments.model_error.set(float(error))


class _Instruments:
    """The metrics themselves, tagged with one campaign."""

    def __init__(self, campaign: str) -> None:
        def tagged(metric: Any) -> Any:
            return metric.set_default_tags({"campaign": campaign})

        def counter(name: str, description: str, *tags: str) -> Any:
            return tagged(Counter(f"theoros_{name}", description, tag_keys=("campaign", *tags)))

        def gauge(name: str, description: str) -> Any:
            return tagged(Gauge(f"theoros_{name}", description, tag_keys=("campaign",)))

        def histogram(name: str, description: str) -> Any:
            return tagged(Histogram(f"theoros_{name}", description, boundaries=BOUNDARIES, tag_keys=("campaign",)))

        self.decided = counter("evaluations_decided", "Evaluations that were decided on, known answers included")
        self.started = counter("evaluations_started", "Attempts that were given to a slot")
        self.ended = counter("evaluations_ended", "Evaluations that ended: done, or a failure class", "outcome")
        self.failed = counter("attempts_failed", "Tries that failed and will be made again", "outcome")
        self.fits = counter("model_fits", "Model versions that this session has made")
        self.busy_seconds = counter("busy_seconds", "What the oracle took for all tries, failed ones included")
        self.fitting_seconds = counter("fitting_seconds", "What all fits took")
        self.notices = counter("notices", "What a person should know", "kind")
        self.running = gauge("running", "Evaluations that somebody works on")
        self.queued = gauge("queued", "Evaluations that wait to be begun, or begun again")
        self.labels = gauge("labels", "Labels that the campaign has")
        self.cost = gauge("cost", "What the campaign has spent, in labels at the target fidelity")
        self.slots = gauge("slots", "Evaluations that can run side by side")
        self.versions = gauge("model_version", "The number of the latest model version")
        self.model_error = gauge("model_error", "Root mean square error on labels it had not seen, objective")
        self.evaluation_seconds = histogram("evaluation_seconds", "What the oracle took for an evaluation")
        self.fit_seconds = histogram("fit_seconds", "What a fit took")
        self.idle_seconds = histogram("idle_seconds", "From the end of an evaluation to the next one on the same slot")


def endpoints() -> list[str]:
    """Where Prometheus finds the metrics of the nodes that are alive: URLs. Needs a process that has joined Ray."""
    import ray

    return [
        f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
        for node in ray.nodes()
        if node["Alive"] and node["MetricsExportPort"] > 0
    ]


def _time(seconds: float, histogram: Any, total: Any) -> None:
    """Observe a duration, and add it to its total: Ray passes on buckets alone, so a histogram's own sum is a guess."""
    histogram.observe(float(seconds))
    if seconds > 0:  # a counter takes nothing else
        total.inc(float(seconds))


def _tag(text: str) -> str:
    """`text` as Ray takes it, which raises at anything but ASCII; an oracle may name its failures as it likes."""
    return text.encode("ascii", "backslashreplace").decode("ascii")
