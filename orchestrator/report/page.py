"""The report of a campaign over molecules, or of one that learns: one HTML file without scripts or a network."""

from __future__ import annotations

from pathlib import Path

from theoros.db import Store
from theoros.orchestrator.gates import gate_counts
from theoros.orchestrator.report.canvas import as_png
from theoros.orchestrator.report.chemical_map import chemical_map, map_figure
from theoros.orchestrator.report.gallery import gallery
from theoros.orchestrator.report.gates import gates_table
from theoros.orchestrator.report.has_page import has_page
from theoros.orchestrator.report.history import History, read_history
from theoros.orchestrator.report.html import Html, image, joined, number, table, tag
from theoros.orchestrator.report.lineage import lineage
from theoros.orchestrator.report.plots import controls_of, figures
from theoros.orchestrator.report.proposers import contributions, earnings_told, proposers_table, shares_figure
from theoros.orchestrator.report.sentences import compare, model_sentence
from theoros.orchestrator.report.twin import COLUMNS, foreseen
from theoros.orchestrator.report.twin_arrays import array_figure, pictured_arrays
from theoros.orchestrator.report.twin_figures import coverages, has_bins, histograms
from theoros.orchestrator.report.twin_films import film_pictures, windows
from theoros.orchestrator.report.twin_pictures import beside, events_figure
from theoros.orchestrator.report.twin_scores import oracle_of, scores_table, whole_scores
from theoros.orchestrator.report.variety import variety_sentence
from theoros.orchestrator.spec.errors import SpecError

#: The file's name in the folder of a campaign's results.
PAGE = "report.html"
#: The best molecules that are shown.
SHOWN = 12

#: Nothing is loaded and nothing runs, whatever a name in the database may hold.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = Html(
    "body{font:15px/1.45 system-ui,sans-serif;max-width:1080px;margin:2em auto;padding:0 1em;color:#222}"
    "h1,h2{line-height:1.2}h2{margin-top:2em;border-bottom:1px solid #ccc}img{max-width:100%}"
    "table{border-collapse:collapse;font-size:13px}th,td{padding:2px 8px;border-bottom:1px solid #ddd;text-align:left}"
    ".number{text-align:right;font-variant-numeric:tabular-nums}code{overflow-wrap:anywhere}"
    ".small{font-size:13px;color:#555}.gallery{display:flex;flex-wrap:wrap;gap:12px}"
    "figure{margin:0;padding:8px;border:1px solid #ddd;border-radius:6px;width:320px;overflow-x:auto}"
    "article{display:grid;grid-template-columns:230px 1fr 200px;gap:14px;padding:8px 0;border-bottom:1px solid #ddd}"
    ".films{display:grid;grid-template-columns:repeat(3,1fr);gap:10px;max-width:960px}"
    ".undrawn{padding:3em 1em;color:#777;text-align:center}"
)


def write_page(store: Store, campaign: str, path: Path) -> Path:
    """Write the report to `path`, whose folder is made; returns `path`. Raises SpecError as `page` does."""
    text = page(store, campaign)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def page(store: Store, campaign: str) -> str:
    """The report as HTML, from the database alone: the best, progress, the model, a map, proposers, gates, lineage.

    Of a campaign that learns, how honest its uncertainty is takes the place of the best. Raises SpecError for a
    campaign that has labelled no molecule, and learns nothing.
    """
    if not has_page(store, campaign):
        raise SpecError(
            f"campaign {campaign!r} has labelled no molecules, and this report is of molecules. "
            f"Others are told by `theoros show {campaign}`, `theoros top {campaign}` and `theoros plot {campaign}`.",
            ("NAME",),
        )
    history = read_history(store, campaign)
    drawn = {name: image(as_png(figure), name) for name, figure in figures(store, campaign)}
    asked, found = history.card.goal == "optimize", bool(history.ranked)
    molecules = bool(history.samples)
    none = tag("p", f"No label at {history.card.target} keeps the constraints yet.")
    parts = [
        _head(store, history),
        _section("The best", gallery(history, SHOWN) if found else none) if asked else None,
        _section("Progress", drawn["progress"], *_beside_controls(store, history)),
        _section("Front", drawn.get("front")),
        _section(
            "Model", drawn.get("predictions"), drawn.get("calibration"), _paragraph(model_sentence(store, campaign))
        ),
        _section("What was foreseen of labels", *_foreseen(store, history)) if not asked else None,
        _section("The twin beside its oracle", *_twin(store, history)) if not asked else None,
        _section("Chemical space", *_map(history), _paragraph(variety_sentence(history))) if molecules else None,
        _section("Proposers", *_proposers(history)) if molecules else None,
        _section("Gates", *_gates(store, campaign)),
        _section("Where the best come from", _KINSHIP, lineage(history, SHOWN)) if asked and found else None,
    ]
    return "<!DOCTYPE html>\n" + _document(campaign, joined(parts))


_KINSHIP = tag(
    "p",
    "Parents are the molecules that the proposer made it of, where the proposer knows them. Of others the nearest "
    "molecule is shown: the most similar one (Tanimoto similarity of count-Morgan fingerprints of radius 3) that had a "
    "label when the decision was made, which need not be what the proposer began with.",
    class_="small",
)


def _document(title: str, body: Html) -> Html:
    head = (
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width"),
        tag("title", f"Theoros: {title}"),
        tag("style", _STYLE),
    )
    return tag("html", tag("head", *head), tag("body", body), lang="en")


def _section(title: str, *parts: Html | None) -> Html | None:
    """A section with its heading; none where it has nothing to say."""
    told = [part for part in parts if part]
    return tag("section", tag("h2", title), *told) if told else None


def _paragraph(text: str) -> Html | None:
    return tag("p", text) if text else None


def _head(store: Store, history: History) -> Html:
    """The campaign's name, question and state."""
    record, card = history.campaign, history.card
    progress = store.progress(record.name, card.cost_table)
    bounds = ", ".join(f"{c.output} {c.op} {number(c.bound, card.units.get(c.output, ''))}" for c in card.constraints)
    counts = [
        f"{fidelity}: "
        + (", ".join(f"{n} {state}" for state, n in progress.counts.get(fidelity, {}).items() if n) or "–")
        for fidelity in card.fidelities
    ]
    reason = f" ({record.stop_reason})" if record.stop_reason else ""
    return joined(
        [
            tag("h1", record.name),
            tag("p", card.wishes, f", subject to {bounds}" if bounds else None),
            tag("p", f"{record.state}{reason}; {'; '.join(counts)}; cost {progress.cost:.4g}; seed {record.seed}"),
        ]
    )


def _beside_controls(store: Store, history: History) -> list[Html]:
    name = history.campaign.name
    if history.card.goal != "optimize":
        return [_TESTED_ELSEWHERE] if controls_of(store, name) else []
    return [tag("p", compare(store, name, control)) for control in controls_of(store, name)]


_TESTED_ELSEWHERE = tag(
    "p",
    "Each campaign is tested on the labels that it asks next. Who asks where the model is unsure is tested where it is "
    "hard, and a random control everywhere: the curves are alike only in their trend.",
    class_="small",
)


def _foreseen(store: Store, history: History) -> list[Html]:
    """Scores and calibration on labels that came after they were predicted."""
    found = foreseen(store, history.campaign.name, [goal.output for goal in history.card.objectives])
    if not found:
        return []
    told = (
        "Each label beside what was foreseen of it before it came: by draws where the model is a twin, and else by the "
        "predicted normal distribution. CRPS (continuous ranked probability score) is in the output's unit, smaller "
        "being better. PIT is the share of the forecast below the label: where the uncertainty is honest its histogram "
        "is flat, nine bars in ten within the grey band, and the shares inside central intervals lie on their lines."
    )
    parts = [
        tag("p", told, class_="small"),
        table(COLUMNS, [one.row() for one in found], numeric=COLUMNS[1:]),
        image(as_png(histograms(found)), "histograms of the probability integral transform"),
    ]
    if has_bins(found):
        parts.append(image(as_png(coverages(found)), "coverage of central intervals over the inputs"))
    return parts


def _twin(store: Store, history: History) -> list[Html]:
    """A twin's answers as wholes: scores, events and windows; empty where the model is no twin."""
    campaign, parts = history.campaign.name, []
    if scores := whole_scores(store, campaign):
        told = (
            "The latest scores on labels that the twin had not seen. Violations of laws are root mean squares, in the "
            "laws' own units. The oracle's time is the median of its labels; all times are wall times."
        )
        parts += [scores_table(scores, oracle_of(store, campaign)), tag("p", told, class_="small")]
    if (events := beside(store, campaign, history.card.name_of)) is not None:
        told = (
            "Labels, one draw of each by a twin that had not seen it, and how far the label is from the mean of the "
            "other draws: colours tell by how many of their deviations, in the output that is farther off."
        )
        parts += [image(as_png(events_figure(events)), "labels, draws and differences"), tag("p", told, class_="small")]
    for pictured in pictured_arrays(store, campaign, history.card.name_of):
        told = (
            f"{pictured.name} of sample {pictured.label}, drawn by a twin that had not seen it (version "
            f"{pictured.version} learned it), and how far the oracle's is from the mean of the members' draws."
        )
        parts += [image(as_png(array_figure(pictured)), "an array beside its draws"), tag("p", told, class_="small")]
    if (window := windows(store, campaign)) is not None:
        told = (
            f"The window of sample {window.label}, simulated, and rolled out by a twin that had not seen it "
            f"(version {window.version} learned it). In the difference the simulator's films are blue and the twin's "
            "red; where they lie on each other they are dark."
        )
        parts += [tag("p", told, class_="small"), *film_pictures(window)]
    return parts


def _map(history: History) -> list[Html]:
    found = chemical_map(history)
    if found is None:
        return []
    told = (
        "Principal components of count-Morgan fingerprints (radius 3). Colours tell the objective, grey that a "
        "molecule has no label at the target fidelity; marks tell the proposer, numbers the rank of the best."
    )
    if found.molecules > len(found.samples):
        told += f" {len(found.samples):,} of {found.molecules:,} molecules are drawn, by lot, the best among them."
    return [image(as_png(map_figure(history, found)), "chemical space"), tag("p", told, class_="small")]


def _proposers(history: History) -> list[Html | None]:
    found = contributions(history)
    told = earnings_told(found)
    return [
        proposers_table(found),
        tag("p", told, class_="small") if told else None,
        image(as_png(shares_figure(history)), "shares of the decisions over time"),
    ]


def _gates(store: Store, campaign: str) -> list[Html]:
    counts = gate_counts(store, campaign)
    if not counts:
        return []
    told = (
        "Molecules that were turned away before they could be asked, by the first gate that refused them, once each. "
        "What a proposer made that is no molecule of the space is counted before all gates, each time, as space (NAME)."
    )
    return [tag("p", told, class_="small"), gates_table(counts)]
