"""What a report says in words: beside a control, and of the model."""

from __future__ import annotations

from theoros.db import Store, overview
from theoros.orchestrator.report.best import scorecard
from theoros.orchestrator.report.hypervolume import hypervolume_so_far, reference


def compare(store: Store, campaign: str, control: str) -> str:
    """One sentence: what the control found at the same cost, and when the campaign had found as good."""
    card = scorecard(store, campaign)
    own, other = (store.label_records(name) for name in (campaign, control))
    if card.several:
        start = reference(card, [*own, *other])
        ours, theirs = (hypervolume_so_far(card, labels, start) for labels in (own, other))
    else:
        ours, theirs = ([x for x in card.best_so_far(labels) if x == x] for labels in (own, other))
    if not ours or not theirs:
        return f"{control} found nothing feasible."
    what = "hypervolume" if card.several else "best"
    unit = "" if card.several else f" {card.units.get(card.objective.output, '')}".rstrip()
    worse = (lambda x: x < theirs[-1]) if card.several else (lambda x: card.objective.better(theirs[-1], x))
    reached = next((i for i, x in enumerate(ours, start=1) if not worse(x)), None)
    text = (
        f"{control}: {what} {theirs[-1]:.5g}{unit} in {len(theirs)} labels; "
        f"{campaign}: {ours[-1]:.5g}{unit} in {len(ours)}"
    )
    return text + (f", and as good as the control's best after {reached}." if reached else ".")


def model_sentence(store: Store, campaign: str) -> str:
    """The last model version's error and calibration on labels that it had not seen; empty where none was tested."""
    version, card = overview.last_model(store, campaign), scorecard(store, campaign)
    scores = {s.metric: s for s in version.scores if s.output == card.objectives[0].output} if version else {}
    if "rmse" not in scores:
        return ""
    n, unit = scores["rmse"].n, card.units.get(card.objectives[0].output, "")
    return (
        f"model: error {scores['rmse'].value:.3g} {unit} on {n} labels before it saw them; "
        f"{scores['coverage_90'].value:.0%} of them within its 90 % intervals"
    )
