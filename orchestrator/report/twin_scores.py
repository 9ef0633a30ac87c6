"""What a twin's last scores tell of its answers as wholes: a table of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from theoros.db import Store
from theoros.db.records import ScoreRecord
from theoros.orchestrator.report.html import Html, number, table

#: What scores are called; of laws and conserved quantities the beginning of the name counts.
NAMES: Mapping[str, str] = {
    "energy_score": "energy score, in deviations of the labels",
    "mmd": "maximum mean discrepancy, squared (0: alike)",
    "mmd_p": "chance of a larger discrepancy if they are alike",
    "c2st": "a classifier tells label from draw (0.5: it can't)",
    "c2st_p": "chance that it does as well if they are alike",
    "violation_": "violation of the law",
    "drift_": "largest drift, as a share, of the",
    "seconds_of_": "wall seconds of one answer of",
    "speedup": "answers while {oracle} gives one, asked singly",
    "speedup_batched": "the same, many at once",
}


def whole_scores(store: Store, campaign: str) -> list[ScoreRecord]:
    """The latest value of each score of `NAMES`, in its order; empty where the model was no twin.

    The energy score is of the labels of a single version, often one: it is the mean over all of them.
    """
    latest: dict[str, ScoreRecord] = {}
    for version in store.model_versions(campaign):
        for score in version.scores:
            earlier = latest.get(score.metric)
            if score.metric == "energy_score" and earlier is not None:
                n = earlier.n + score.n
                mean = (earlier.n * earlier.value + score.n * score.value) / n
                latest[score.metric] = ScoreRecord(score.output, score.metric, mean, n)
            elif _named(score.metric):
                latest[score.metric] = score
    order = list(NAMES)
    return sorted(latest.values(), key=lambda score: order.index(_named(score.metric)))


def scores_table(scores: Sequence[ScoreRecord], oracle: str) -> Html:
    """Names, values and over how many labels each is."""
    rows = [(_told(score.metric, oracle), number(score.value, digits=3), str(score.n)) for score in scores]
    return table(("score", "value", "labels"), rows, numeric=("value", "labels"))


def oracle_of(store: Store, campaign: str) -> str:
    """The name of the oracle of the campaign's first label; "the oracle" before there is one."""
    found = store.query("SELECT oracle FROM labels_long WHERE campaign = :campaign LIMIT 1", {"campaign": campaign})
    return str(found["oracle"][0]) if len(found) else "the oracle"


def _named(metric: str) -> str:
    """The key of `NAMES` for a metric; empty where it is none of a whole."""
    if metric in NAMES:
        return metric
    if metric.endswith("_per_step"):
        return ""
    return next((key for key in NAMES if key.endswith("_") and metric.startswith(key)), "")


def _told(metric: str, oracle: str) -> str:
    key = _named(metric)
    rest = metric.removeprefix(key).replace("_", " ")
    return f"{NAMES[key].format(oracle=oracle)} {rest}".strip()
