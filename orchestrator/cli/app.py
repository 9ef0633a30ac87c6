"""All commands under one roof."""

from __future__ import annotations

import typer

from theoros.orchestrator.cli import database, doctor, explain, oracles, reading, running, simulate

app = typer.Typer(
    help="Theoros: active learning for scientists whose samples are expensive to label.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("run")(running.run)
app.command("resume")(running.resume)
app.command("stop")(running.stop)
app.command("status")(reading.status)
app.command("show")(reading.show)
app.command("top")(reading.top)
app.command("plot")(reading.plot)
app.command("report")(reading.report)
app.command("explain")(explain.explain)
app.command("simulate")(simulate.simulate)
app.command("query")(database.query)
app.command("export")(database.export)
app.command("doctor")(doctor.doctor)
app.add_typer(oracles.app, name="oracles")
app.add_typer(database.app, name="db")
