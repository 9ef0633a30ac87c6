"""What a report says in words: beside a control, and of the model."""

from __future__ import annotations

from theoros.db import Store, overview
from theoros.orchestrator.report.best import scorecard
from theoros.orchestrator.report.hypervolume import hypervolume_so_far, reference


def compare(store: Store, campaign: str, control: str) -> str:
    """One sentence: what the control found at the same cost, and when the campaign had found as good.

    Labels that are not feasible count, too: the control's or the campaign's money went into them.
    """
    card = scorecard(store, campaign)
    own, other = (store.label_records(name) for name in (campaign, control))
    if card.several:
        start = reference(card, [*own, *other])
        ours, theirs = (hypervolume_so_far(card, labels, start) for labels in (own, other))
    else:
        ours, theirs = (card.best_so_far(labels) for labels in (own, other))
    if not theirs or theirs[-1] != theirs[-1]:  # NaN until something feasible is found
        return f"{control} found nothing feasible."
    what = "hypervolume" if card.several else "best"
    unit = "" if card.several else f" {card.units.get(card.objective.output, '')}".rstrip()
    worse = (lambda x: x < theirs[-1]) if card.several else (lambda x: card.objective.better(theirs[-1], x))
    reached = next((i for i, x in enumerate(ours, start=1) if x == x and not worse(x)), None)
    text = f"{control}: {what} {theirs[-1]:.5g}{unit} in {len(theirs)} labels; {campaign}: "
    if not ours or ours[-1] != ours[-1]:
        return f"{text}nothing feasible in {len(ours)}."
    text += f"{ours[-1]:.5g}{unit} in {len(ours)}"
    return text + (f", and as good as the control's best after {reached}." if reached else ".")


def model_sentence(store: Store, campaign: str) -> str:
    """The last model version's error and calibration on labels that it had not seen; empty where none was tested."""
    version, card = overview.last_model(store, campaign), scorecard(store, campaign)
    if version is None:
        return ""
    told = {(score.output, score.metric): score for score in version.scores}
    goals = card.objectives if card.goal == "learn" else card.objectives[:1]
    outputs = [goal.output for goal in goals if (goal.output, "rmse") in told]
    if not outputs:
        return ""
    n, named = told[outputs[0], "rmse"].n, len(goals) > 1
    errors = ", ".join(
        f"{f'of {output} ' if named else ''}{told[output, 'rmse'].value:.3g} {card.units.get(output, '')}".rstrip()
        for output in outputs
    )
    inside = ", ".join(f"{told[output, 'coverage_90'].value:.0%}" for output in outputs)
    return f"model: error {errors} on {n} labels before it saw them; {inside} of them within its 90 % intervals"
