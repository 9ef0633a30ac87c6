"""``theoros oracles list | show | check``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from theoros.oracles.contract import Oracle
    from theoros.oracles.reference import OracleReference

app = typer.Typer(help="What can be asked, and of whom.", no_args_is_help=True)
Which = Annotated[str, typer.Argument(help="A name, 'module:Name', or a campaign file (its oracle, with its options).")]


@app.command("list")
def list_oracles() -> None:
    """The oracles that are installed: built-in ones and plug-ins."""
    import pandas as pd

    from theoros.oracles.registry import available
    from theoros.orchestrator.report.console import plain_console
    from theoros.orchestrator.report.final import print_table

    rows = [{"oracle": item.name, "from": item.source, "what it answers": item.summary} for item in available()]
    frame = pd.DataFrame(rows)
    frame.index = pd.RangeIndex(1, len(rows) + 1, name="")
    print_table(plain_console(), frame, "Oracles")


@app.command("show")
def show(which: Which) -> None:
    """An oracle's outputs with units, fidelities with costs, and resources."""
    from theoros.orchestrator.report.console import headed, plain_console

    _, oracle = _load(which)
    console = plain_console()
    console.print(headed(oracle.name, f" (answers version {oracle.cache_version})"), soft_wrap=True)
    console.print(
        f"  candidates: {oracle.space.kind if oracle.space is not None else 'as the campaign says'}",
        highlight=False,
        soft_wrap=True,
    )
    for name, quantity in oracle.outputs.items():
        shape = f" {list(quantity.shape)}" if quantity.shape else ""
        console.print(
            f"  output {name}{shape}: {quantity.unit or 'no unit'}  {quantity.description}",
            highlight=False,
            soft_wrap=True,
            markup=False,
        )
    for fidelity in oracle.fidelities:
        console.print(
            f"  fidelity {fidelity.name}: cost {fidelity.cost:g}  {fidelity.description}",
            highlight=False,
            soft_wrap=True,
            markup=False,
        )
    need = oracle.resources
    memory = f", {need.memory / 2**30:.1f} GiB" if need.memory else ""
    console.print(
        f"  needs {need.num_cpus:g} processors, {need.num_gpus:g} GPUs{memory}, at most {need.timeout:g} s",
        highlight=False,
        soft_wrap=True,
    )


@app.command("check")
def check(which: Which) -> None:
    """Hold an oracle against its contract, with one cheap evaluation. Exit code 1 when it breaks it."""
    from theoros.oracles.check import check_oracle

    reference, oracle = _load(which)
    results = check_oracle(oracle, reference=reference)
    for result in results:
        print(f"{'ok  ' if result.passed else 'FAIL'} {result.name}: {result.detail}")
    if not all(result.passed for result in results):
        raise typer.Exit(1)


def _load(which: str) -> tuple[OracleReference, Oracle]:
    """The oracle of a campaign file, or one by its name with no options. Raises SpecError."""
    from theoros.oracles.failures import OracleFailure
    from theoros.oracles.reference import OracleReference
    from theoros.orchestrator.resolve import resolve
    from theoros.orchestrator.spec.errors import SpecError
    from theoros.orchestrator.spec.load import load_spec

    path = Path(which)
    if path.suffix in {".yaml", ".yml"}:
        plan = resolve(load_spec(path), path.resolve().parent, file=path.name)
        return plan.oracle, plan.oracle.load()
    reference = OracleReference(which, search_path=str(Path.cwd()))
    try:
        return reference, reference.load()
    except (ValueError, OracleFailure) as error:
        raise SpecError(
            f"{error} Options can be given in a campaign file: theoros oracles check FILE.", (which,)
        ) from error
