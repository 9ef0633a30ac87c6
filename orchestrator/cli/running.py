"""``theoros run | resume | stop``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from theoros.orchestrator.cli.options import DEFAULT_DATABASE, DEFAULT_RESULTS, Address, Database, Log, Name, Results

if TYPE_CHECKING:
    from rich.console import Console

    from theoros.orchestrator.campaign import Campaign

File = Annotated[Path, typer.Argument(help="The campaign file (YAML).", show_default=False)]
Controls = Annotated[
    str, typer.Option("--with-control", help="Controls to run after it: 'random', 'train-once', or both with a comma.")
]
Fresh = Annotated[
    bool, typer.Option("--fresh", help="If the name is taken, run under the next free one (NAME-2, ...).")
]


def run(
    file: File,
    database: Database = DEFAULT_DATABASE,
    address: Address = None,
    with_control: Controls = "",
    fresh: Fresh = False,
    results: Results = DEFAULT_RESULTS,
    log: Log = None,
) -> None:
    """Run the campaign of FILE, with live progress, and end with its best labels, plots and the next command."""
    from theoros.orchestrator.campaign import Campaign
    from theoros.orchestrator.control import free_name, parse_controls
    from theoros.orchestrator.report.console import headed, plain_console
    from theoros.orchestrator.spec.load import load_spec

    controls = parse_controls(with_control)
    spec, base = load_spec(file), file.resolve().parent
    if fresh:
        spec = spec.model_copy(update={"campaign": free_name(spec.campaign, database)})
    console = plain_console()
    campaign = Campaign(spec, database, base=base, file=file.name)
    console.print(
        headed(campaign.name, f": {campaign.question_text} (database {campaign.store.safe_url})"), soft_wrap=True
    )
    for lesson in campaign.lessons:
        console.print(f"learns from {lesson.text}", soft_wrap=True)
    _finish(campaign, console, address, controls, results, log)


def resume(
    name: Name,
    database: Database = DEFAULT_DATABASE,
    address: Address = None,
    results: Results = DEFAULT_RESULTS,
    log: Log = None,
) -> None:
    """Go on with a stored campaign, from the database alone."""
    from theoros.orchestrator.campaign import Campaign
    from theoros.orchestrator.report.console import plain_console
    from theoros.orchestrator.report.plots import controls_of

    campaign = Campaign.open(name, database)
    unfinished = [c for c in controls_of(campaign.store, name) if campaign.store.campaign(c).state != "finished"]
    _finish(campaign, plain_console(), address, [], results, log)
    for control in unfinished:
        _finish(Campaign.open(control, database), plain_console(), address, [], results, log)


def stop(
    name: Name,
    database: Database = DEFAULT_DATABASE,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="Kill running evaluations instead of waiting for them.")
    ] = False,
) -> None:
    """Ask a running campaign to stop; `theoros resume NAME` goes on with it later."""
    from theoros.db import Store

    with Store(database, create=False) as store:
        state = store.campaign(name).state
        if state != "running":
            print(f"The campaign {name!r} is not running (it is {state}). Nothing was done.")
            return
        store.request_stop(name, "cancel" if cancel else "drain")
        where = store.safe_url.removeprefix("sqlite:///")
    print(f"{name} will stop {'at once' if cancel else 'when its running evaluations have ended'}.")
    print(f"Go on later with: theoros resume {name} --database {where}")


def _finish(
    campaign: Campaign, console: Console, address: str | None, controls: list[str], results: Path, log: Path | None
) -> None:
    """Run a campaign and then its controls, report, and set the exit code: 0 finished, 3 stopped before the end."""
    from theoros.orchestrator.control import make_control
    from theoros.orchestrator.report.console import headed
    from theoros.orchestrator.report.final import print_report

    finished = _run_one(campaign, console, address, log)
    for control in controls if finished else []:
        other = make_control(campaign, control)
        console.print()
        console.print(headed(other.name, f": the {control} control, at equal cost"), soft_wrap=True)
        finished = _run_one(other, console, address, log) and finished
    print_report(campaign, console, results)
    if not finished:
        raise typer.Exit(3)


def _run_one(campaign: Campaign, console: Console, address: str | None, log: Path | None) -> bool:
    from theoros.orchestrator.journal import keep_journal
    from theoros.orchestrator.live import Narrator
    from theoros.orchestrator.metrics import Meter

    if campaign.state == "finished":
        console.print(f"{campaign.name} is finished already; nothing is run again.", highlight=False, soft_wrap=True)
        return True
    with keep_journal(log, campaign.name, database=campaign.store.url) as journal:
        ending = campaign.run(
            address=address,
            companions=(lambda bus, gateway, plan: Narrator(bus, gateway, plan, console), Meter, *journal),
        )
    word = "Finished" if ending.finished else "Stopped"
    console.print(f"{word}: {ending.reason}.", highlight=False, soft_wrap=True)
    return ending.finished
