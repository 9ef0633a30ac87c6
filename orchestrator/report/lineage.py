"""Where the best molecules come from: who proposed them, by which model, and of which molecules they were made.

Where a proposer does not know parents, the nearest molecule known then stands in: it is found by similarity, and need
not be what the proposer began with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from theoros.orchestrator.report.gallery import beliefs_table
from theoros.orchestrator.report.history import History, Sample
from theoros.orchestrator.report.html import Html, number, tag
from theoros.orchestrator.report.similarity import bit_matrix, tanimoto
from theoros.orchestrator.report.structures import readable, structure
from theoros.orchestrator.scorecard import Scorecard


@dataclass(frozen=True)
class Parent:
    """A molecule that another was made of, with what was known of it then: a labelled sample, or its own parents."""

    smiles: str
    sample: Sample | None
    parents: tuple[Parent, ...] = ()


@dataclass(frozen=True)
class Origin:
    """A sample with the most similar other molecule that had a label when it was decided (None: there was none).

    `before` are its own labels at other fidelities from before then, and `parents` what it was made of, where that is
    recorded.
    """

    sample: Sample
    relative: Sample | None
    similarity: float
    before: tuple[Sample, ...]
    parents: tuple[Parent, ...] = ()


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
        # Of several labels the one at the target is told.
        by_level = sorted(earlier, key=lambda i: known[i].evaluation.fidelity == history.card.target)
        made_of = _parents(winner, winner.smiles, {known[i].smiles: known[i] for i in by_level})
        if not others or winner.number not in rows:
            found.append(Origin(winner, None, 0.0, before, made_of))
            continue
        like = rows[winner.number]
        nearest = max(others, key=lambda i: (like[i], known[i].evaluation.fidelity == history.card.target, -i))
        found.append(Origin(winner, known[nearest], float(like[nearest]), before, made_of))
    return found


def lineage(history: History, n: int = 12) -> Html:
    """The `n` best samples with their origins, the best first."""
    found = origins(history, history.ranked[:n])
    return tag("div", *(_entry(history, rank, origin) for rank, origin in enumerate(found, start=1)), class_="lineage")


def _parents(
    winner: Sample, child: str, known: Mapping[str, Sample], above: frozenset[str] = frozenset()
) -> tuple[Parent, ...]:
    """What `child` was made of; of a parent without a label then, in turn what that was made of."""
    above |= {child}  # whatever the database holds, this ends
    made_of = dict.fromkeys(p.parent for p in winner.parents if p.child == child and p.parent not in above)
    return tuple(
        Parent(smiles, known.get(smiles), () if smiles in known else _parents(winner, smiles, known, above))
        for smiles in made_of
    )


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
        _made_of(card, origin.parents) if origin.parents else _relative(card, origin),
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


def _made_of(card: Scorecard, parents: Sequence[Parent]) -> Html:
    """The parents, drawn."""
    several = "two" if len(parents) == 2 else str(len(parents))
    word = "parent" if len(parents) == 1 else f"one of {several} parents"
    return tag(
        "div",
        *(
            tag(
                "div",
                structure(parent.smiles, 170, 120),
                tag("p", tag("code", parent.smiles)),
                tag("p", f"{word}: {_told(card, parent)}", class_="small"),
            )
            for parent in parents
        ),
    )


def _told(card: Scorecard, parent: Parent) -> str:
    """What was known of a parent, in words."""
    if parent.sample is not None:
        sample = parent.sample
        by = sample.proposer or "nobody"
        return f"sample {sample.number} at {sample.evaluation.fidelity}, proposed by {by}: {_values(card, sample)}"
    if not parent.parents:
        return "without a label then"
    return "without a label then; made of " + " and ".join(f"{p.smiles} ({_told(card, p)})" for p in parent.parents)


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
