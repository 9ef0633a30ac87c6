"""The models' part of a plan: its surrogate, acquisition and proposers, and whether they fit together."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from theoros.models import registry
from theoros.models.data import Problem
from theoros.models.options import OptionError
from theoros.oracles.contract import Oracle
from theoros.orchestrator.spec.campaign import CampaignSpec
from theoros.orchestrator.spec.errors import SpecError

#: Candidates asked at every level before the first fit: fewer can't tell how the levels hang together.
FEWEST_PAIRS = 4


class Models(NamedTuple):
    """Names of a surrogate, its rivals, an acquisition and proposers that work together; with what it all begins.

    `initial` candidates come from `initial_proposer` before there is a model.
    """

    surrogate: str
    rivals: tuple[str, ...]
    acquisition: str
    proposers: tuple[str, ...]
    initial_proposer: str
    initial: int


def resolve_models(spec: CampaignSpec, problem: Problem, oracle: Oracle) -> tuple[Problem, Models]:
    """The models for `problem`, and the problem with what they learn beside its outputs: arrays, run times.

    Raises SpecError, naming the field, for models that do not exist or do not fit this problem.
    """
    models = _models(spec, problem)
    problem = replace(problem, structures=_structures(spec, models.surrogate, oracle))
    _check_credit(spec, models.proposers)
    if registry.reads_run_times(models.acquisition):
        problem = replace(problem, timed=True)
        if spec.workers.slots == 1:
            raise SpecError(
                f"{models.acquisition} depends on how long evaluations take, and a campaign with one slot repeats "
                "exactly. Use more slots, or another acquisition.",
                ("acquisition",),
            )
    return problem, models


def _models(spec: CampaignSpec, problem: Problem) -> Models:
    """What the file names, or else the defaults, checked to work together."""
    try:
        surrogate = registry.default_surrogate(problem) if spec.surrogate == "auto" else spec.surrogate
        registry.check_surrogate_name(surrogate, problem)
        if spec.surrogate != "auto" and problem.noise:
            registry.check_reads_noise(surrogate)
        if spec.surrogate_options and spec.surrogate == "auto":
            raise ValueError("only a surrogate that is named has options. Name it, or leave them out.")
        registry.check_options(surrogate, spec.surrogate_options, problem)
    except OptionError as error:
        raise SpecError(str(error), ("surrogate", surrogate, *error.field)) from error
    except ValueError as error:
        raise SpecError(str(error), ("surrogate",)) from error
    try:
        acquisition = (
            registry.default_acquisition(problem, surrogate) if spec.acquisition == "auto" else spec.acquisition
        )
        registry.compatible(surrogate, acquisition, problem.aim)
        registry.check_laws(surrogate, spec.surrogate_options, acquisition)
        rivals = registry.rivals(problem, acquisition) if spec.surrogate == "auto" else ()
    except ValueError as error:
        raise SpecError(str(error), ("acquisition",)) from error
    initial = registry.initial_proposer(problem)
    # Where nothing is predicted there is nothing that a proposer could search for.
    proposers = spec.proposers or ((initial,) if acquisition == "random" else registry.default_proposers(problem))
    for i, name in enumerate(proposers):
        try:
            registry.check_proposer_name(name, problem)
            if options := spec.proposer_options.get(name):
                registry.check_proposer_options(name, options)
        except ValueError as error:
            field = error.field if isinstance(error, OptionError) else ()
            raise SpecError(str(error), ("proposers", i, name, *field) if field else ("proposers", i)) from error
    if acquisition == "random":
        initial = proposers[0]
    return Models(
        surrogate, rivals, acquisition, tuple(proposers), initial, spec.initial or _default_initial(spec, problem)
    )


def _structures(spec: CampaignSpec, surrogate: str, oracle: Oracle) -> tuple[str, ...]:
    """The arrays that the surrogate reads, which the oracle has to give."""
    wanted = registry.structures_read(surrogate, spec.surrogate_options)
    chosen = "arrays" in spec.surrogate_options
    field = ("surrogate", surrogate, "arrays") if chosen else ("surrogate",)
    for name in wanted:
        if name not in oracle.outputs or (chosen and name not in spec.question.record):
            arrays = [own for own, quantity in oracle.outputs.items() if quantity.shape]
            close = difflib.get_close_matches(name, arrays, n=1) if name not in oracle.outputs else []
            mend = f"Add 'record: [{', '.join(wanted)}]' to the question, or use another surrogate."
            raise SpecError(
                f"the surrogate {surrogate!r} learns from the output {name!r}, and the oracle {oracle.name!r} is not "
                f"asked for it or has none. {f'Did you mean {close[0]!r}?' if close else mend}",
                field,
            )
        if chosen:
            _check_fixed(surrogate, name, oracle.outputs[name].shape, field)
    return wanted


def _check_fixed(surrogate: str, name: str, shape: Sequence[int | str], field: Sequence[str]) -> None:
    """Raise SpecError for an output that is no array, or whose length differs between candidates."""
    if not shape:
        raise SpecError(
            f"the surrogate {surrogate!r} has arrays as a list of outputs that are arrays, and {name!r} is one number. "
            "Name it under 'learn' in the question instead.",
            field,
        )
    if varying := [length for length in shape if isinstance(length, str)]:
        raise SpecError(
            f"the surrogate {surrogate!r} learns arrays of one shape, and in {name!r} the number of {varying[0]!r} "
            "differs between candidates. Leave it out.",
            field,
        )


def _check_credit(spec: CampaignSpec, proposers: Sequence[str]) -> None:
    """Raise SpecError where credit by time would say nothing, or would break a promise."""
    if spec.credit != "per_second":
        return
    if len(proposers) < 2:
        raise SpecError(
            f"credit is shared among proposers, and this campaign has one, {proposers[0]!r}. Name several proposers, "
            "or leave it out.",
            ("credit",),
        )
    if spec.workers.slots == 1:
        raise SpecError(
            "credit per second depends on how long proposers take, and a campaign with one slot repeats exactly. "
            "Use more slots, or leave it out.",
            ("credit",),
        )


def _default_initial(spec: CampaignSpec, problem: Problem) -> int:
    """Two points per parameter, at least five, or ten for molecules and libraries; never over half the label budget.

    With several levels half as many: each is asked at every level, and where a cheap level is of use it tells the rest
    for less (`benchmarks/fidelities.py`).
    """
    parameters = getattr(problem.space, "parameters", None)
    wanted = max(5, min(2 * len(parameters), 20)) if parameters else 10
    if len(problem.fidelities) > 1:
        wanted = max(FEWEST_PAIRS, math.ceil(wanted / 2))
    limits = [n for n in (spec.budget.labels, *spec.budget.fidelities.values()) if n is not None]
    return max(1, min(wanted, math.ceil(min(limits) / 2))) if limits else wanted
