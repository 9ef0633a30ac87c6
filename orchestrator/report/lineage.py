"""Where the best molecules come from: who proposed them, by which model, and which molecule known then is the nearest.

Parents are not recorded: the relative named here is found by similarity, and need not be what a proposer began with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from theoros.orchestrator.report.gallery import beliefs_table
from theoros.orchestrator.report.history import History, Sample
from theoros.orchestrator.report.html import Html, number, tag
from theoros.orchestrator.report.similarity import bit_matrix, tanimoto
from theoros.orchestrator.report.structures import readable, structure
from theoros.orchestrator.scorecard import Scorecard


@dataclass(frozen=True)
class Origin:
    """A sample with the most similar other molecule that had a label when it was decided (None: there was none).

    `before` are its own labels at other fidelities from before then.
    """

    sample: Sample
    relative: Sample | None
    similarity: float
    before: tuple[Sample, ...]


def origins(history: History, winners: Sequence[Sample]) -> list[Origin]:
    """The origin of each of `winners`; of equally similar relatives one labelled at the target, the first decided."""
    known = [s for s in history.samples if s.label is not None and s.known_at is not None and readable(s.smiles)]
    drawn = [sample for sample in winners if readable(sample.smiles)]
    likeness = tanimoto(bit_matrix([s.smiles for s in drawn]), bit_matrix([s.smiles for s in known]))
    rows = {sample.number: row for sample, row in zip(drawn, likeness, strict=True)}
    found = []
    for winner in winners:
        earlier = [i for i, sample in enumerate(known) if _before(sample, winner)]
        own = winner.evaluation.candidate.hash
        before = tuple(known[i] for i in earlier if known[i].evaluation.candidate.hash == own)
        others = [i for i in earlier if known[i].evaluation.candidate.hash != own]
        if not others or winner.number not in rows:
            found.append(Origin(winner, None, 0.0, before))
            continue
        like = rows[winner.number]
        nearest = max(others, key=lambda i: (like[i], known[i].evaluation.fidelity == history.card.target, -i))
        found.append(Origin(winner, known[nearest], float(like[nearest]), before))
    return found


def lineage(history: History, n: int = 12) -> Html:
    """The `n` best samples with their origins, the best first."""
    found = origins(history, history.ranked[:n])
    return tag("div", *(_entry(history, rank, origin) for rank, origin in enumerate(found, start=1)), class_="lineage")


def _before(sample: Sample, winner: Sample) -> bool:
    """Whether the label of `sample` was there when `winner` was decided."""
    if sample.known_at is None or winner.decided_at is None or sample.number == winner.number:
        return False
    return sample.known_at < winner.decided_at  # what came in the same millisecond came too late


def _entry(history: History, rank: int, origin: Origin) -> Html:
    sample, card = origin.sample, history.card
    facts = [_decision(history, sample)]
    if sample.reason:
        facts.append(f"reason: {sample.reason}")
    facts += [f"known before at {s.evaluation.fidelity}: {_values(card, s)} (sample {s.number})" for s in origin.before]
    return tag(
        "article",
        tag("div", structure(sample.smiles), tag("p", tag("b", f"{rank}. "), tag("code", sample.smiles))),
        tag("div", tag("ul", *(tag("li", fact) for fact in facts)), beliefs_table(card, sample)),
        _relative(card, origin),
    )


def _decision(history: History, sample: Sample) -> str:
    """Proposer, acquisition and model version in a sentence."""
    by = f"sample {sample.number}, proposed by {sample.proposer or 'nobody'}"
    if sample.acquisition:
        by += f", chosen for its {sample.acquisition} {number(sample.value)}"
    version = history.versions.get(sample.model_version or 0)
    if version is None:
        return f"{by}, without a model"
    return f"{by}, by model version {version.number} ({version.surrogate}, {version.n_labels} labels)"


def _relative(card: Scorecard, origin: Origin) -> Html:
    if origin.relative is None:
        return tag("div", tag("p", "No other molecule had a label when it was decided.", class_="small"))
    relative = origin.relative
    told = (
        f"nearest molecule that had a label then: similarity {origin.similarity:.2f}, sample {relative.number} at "
        f"{relative.evaluation.fidelity}, proposed by {relative.proposer or 'nobody'}: {_values(card, relative)}"
    )
    return tag(
        "div",
        structure(relative.smiles, 170, 120),
        tag("p", tag("code", relative.smiles)),
        tag("p", told, class_="small"),
    )


def _values(card: Scorecard, sample: Sample) -> str:
    """The objectives of a label in words."""
    values = {} if sample.label is None else sample.label.values
    outputs = dict.fromkeys(goal.output for goal in card.objectives if goal.output in values)
    return ", ".join(f"{output} {number(float(values[output]), card.units.get(output, ''))}" for output in outputs)
