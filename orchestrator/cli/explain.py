"""``theoros explain``: what a campaign's model has learned, and why its samples were chosen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from theoros.orchestrator.cli.options import DEFAULT_DATABASE, DEFAULT_RESULTS, Database, Name, Results

if TYPE_CHECKING:
    from theoros.orchestrator.explain import Refitted

Why = Annotated[int | None, typer.Option("--why", min=1, help="Say why the sample of this number was chosen.")]
WhatIf = Annotated[
    str | None, typer.Option("--what-if", help="Predict a candidate: 'x1=0.3, x2=2', a YAML mapping, or a SMILES.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
Keep = Annotated[bool, typer.Option("--card/--no-card", help="Keep what is found in the database, where it may be.")]
Samples = Annotated[int, typer.Option("--samples", min=16, help="Candidates that sensitivities are estimated from.")]


def explain(
    name: Name,
    why: Why = None,
    what_if: WhatIf = None,
    samples: Samples = 512,
    as_json: AsJson = False,
    card: Keep = True,
    database: Database = DEFAULT_DATABASE,
    results: Results = DEFAULT_RESULTS,
) -> None:
    """What the model of a campaign says: which parameters matter and how; or why a sample was chosen; or what if.

    The database is read through a connection that can't write; only the card is written, where that is allowed.
    """
    from theoros.db import Store
    from theoros.orchestrator.explain import refitted
    from theoros.orchestrator.explain import why as why_chosen

    with Store(database, read_only=True, create=False) as store:
        found: dict[str, Any] = {"campaign": name}
        kinds: dict[str, int | None] = {}
        if why is not None:
            found["why"] = why_chosen(store, name, why)
            kinds["why"] = found["why"]["model"]["version"] if found["why"]["model"] else None
            if not as_json:
                _print_why(store, name, found["why"])
        if why is None or what_if is not None:
            fit = refitted(store, name)
            found["model"] = {"version": fit.version, "n_labels": fit.n_labels, "message": fit.message}
            if what_if is not None:
                found["what-if"] = _what_if(fit, what_if, quiet=as_json)
            else:
                found |= _whole(fit, samples, results / name, quiet=as_json)
            kinds |= {kind: fit.version for kind in ("what-if", "sensitivities", "dependence") if kind in found}
        url = store.url
    kept = _keep(url, name, found, kinds) if card else ""
    _end(found, kept, as_json=as_json)


def _print_why(store: Any, name: str, found: dict[str, Any]) -> None:
    from theoros.orchestrator.explain_report import print_why
    from theoros.orchestrator.report.best import scorecard
    from theoros.orchestrator.report.console import plain_console

    print_why(plain_console(), scorecard(store, name), found)


def _what_if(fit: Refitted, text: str, *, quiet: bool) -> dict[str, Any]:
    from theoros.models.explain.what_if import what_if
    from theoros.orchestrator.explain import parse_candidate, plain
    from theoros.orchestrator.explain_report import print_beliefs
    from theoros.orchestrator.report.console import plain_console

    candidate = parse_candidate(fit.problem.space, text)
    beliefs = what_if(fit.model, fit.problem, candidate, fit.widening)
    if not quiet:
        print_beliefs(plain_console(), fit.plan.scorecard, candidate.text, beliefs)
    return {"candidate": dict(candidate.data), "predictions": [plain(belief) for belief in beliefs]}


def _whole(fit: Refitted, samples: int, folder: Path, *, quiet: bool) -> dict[str, Any]:
    """Sensitivities and dependences of every output, printed and drawn."""
    from theoros.models.explain.dependence import dependences
    from theoros.models.explain.sensitivities import sensitivities
    from theoros.orchestrator import explain_report as report
    from theoros.orchestrator.explain import plain
    from theoros.orchestrator.report.console import plain_console

    problem, card, seed = fit.problem, fit.plan.scorecard, fit.plan.spec.seed
    outputs = problem.outputs
    weights = [sensitivities(fit.model, problem, output, n=samples, seed=seed) for output in outputs]
    curves = {output: dependences(fit.model, problem, output, seed=seed) for output in outputs}
    folder.mkdir(parents=True, exist_ok=True)
    plots = [report.plot_sensitivities(card, weights, folder / "sensitivities.png")]
    for output, found in curves.items():
        if found:
            suffix = "" if len(outputs) == 1 else f"-{output}"
            plots.append(report.plot_dependences(card, found, folder / f"dependence{suffix}.png"))
    if not quiet:
        console = plain_console()
        for each in weights:
            report.print_sensitivities(console, card, each)
            report.print_dependences(console, card, curves[each.output])
    return {
        "sensitivities": [plain(each) for each in weights],
        "dependence": [plain(item) for found in curves.values() for item in found],
        "plots": [str(path) for path in plots],
    }


def _keep(url: str, name: str, found: dict[str, Any], kinds: dict[str, int | None]) -> str:
    """Keep a card of each kind that was found; returns why none could be kept."""
    from theoros.orchestrator.explain import keep_card

    for kind, version in kinds.items():
        data = found[kind] if isinstance(found[kind], dict) else {"items": found[kind]}
        if refused := keep_card(url, name, kind, data, version):
            return refused
    return ""


def _end(found: dict[str, Any], refused: str, *, as_json: bool) -> None:
    import sys

    if as_json:
        import json

        print(json.dumps(found, indent=1, ensure_ascii=False))
    else:
        if (model := found.get("model")) is not None:
            version = "no stored version" if model["version"] is None else f"version {model['version']}"
            print(f"model: {version}, fitted anew to {model['n_labels']} labels. {model['message']}".rstrip())
        for path in found.get("plots", []):
            print(f"plot: {path}")
    if refused:
        print(f"theoros: no card was kept: {refused}", file=sys.stderr)
