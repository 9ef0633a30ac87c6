"""What a campaign file may say of a proposer: its sizes, how long it searches, how long it is trained.

Checked without torch, which building most of these proposers loads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypeVar

from pydantic import Field

from theoros.models.options import checked
from theoros.oracles.resources import Seconds

T = TypeVar("T")

_Count = Annotated[int, Field(ge=1, strict=True)]
_Several = Annotated[int, Field(ge=2, strict=True)]
_Positive = Annotated[float, Field(gt=0, strict=True, allow_inf_nan=False)]
_Share = Annotated[float, Field(ge=0, le=1, strict=True)]
_Degree = Annotated[int, Field(ge=1, le=4, strict=True)]
_Device = Annotated[str, Field(pattern=r"^(cpu|cuda(:\d+)?)$", strict=True)]


@dataclass(frozen=True)
class Option:
    """One option: the field of the proposer that it sets (``a.b``: the field `b` of what its field `a` holds), and what
    it may be.
    """

    field: str
    kind: Any


_EVOLUTION = {
    "generations": Option("generations", _Count),
    "offspring": Option("offspring", _Count),
    "population": Option("population", _Several),
    "mutation_rate": Option("mutation_rate", _Share),
    "seconds": Option("seconds", Seconds),
}

#: The options of each proposer that has any. Their defaults are those of its dataclass.
OPTIONS: Mapping[str, Mapping[str, Option]] = {
    "genetic": _EVOLUTION,
    "selfies": _EVOLUTION,
    "language_model": {
        "steps": Option("reinforcement.steps", _Count),
        "batch": Option("reinforcement.batch", _Count),
        "sigma": Option("reinforcement.sigma", _Positive),
        "memory": Option("reinforcement.memory", _Count),
        "embedding": Option("sizes.embedding", _Count),
        "hidden": Option("sizes.hidden", _Count),
        "layers": Option("sizes.layers", _Count),
        "training_molecules": Option("training.molecules", _Count),
        "seconds": Option("seconds", Seconds),
    },
    "gflownet": {
        "steps": Option("training.steps", _Count),
        "batch": Option("training.batch", _Count),
        "sharpness": Option("sharpness", _Positive),
        "molecules": Option("molecules", _Count),
        "fragments": Option("corpus.fragments", _Count),
        "width": Option("corpus.width", _Count),
        "epochs": Option("corpus.epochs", _Count),
        "seconds": Option("seconds", Seconds),
    },
    "selfies_vae": {
        "chains": Option("chains", _Several),
        "rounds": Option("rounds", _Count),
        "hidden": Option("sizes.hidden", _Count),
        "latent": Option("sizes.latent", _Count),
        "training_steps": Option("training.steps", _Count),
        "seconds": Option("seconds", Seconds),
    },
    "flow3d": {
        "rounds": Option("rounds", _Count),
        "samples": Option("samples", _Count),
        "steps": Option("settings.steps", _Count),
        "layers": Option("settings.network.layers", _Count),
        "scalars": Option("settings.network.scalars", _Count),
        "vectors": Option("settings.network.vectors", _Count),
        "degree": Option("settings.network.degree", _Degree),
        "hidden": Option("settings.network.hidden", _Count),
        "corpus": Option("corpus", _Count),
        "training_steps": Option("settings.training.steps", _Count),
        "batch": Option("settings.training.batch", _Count),
        "seconds": Option("seconds", Seconds),
        "device": Option("device", _Device),
    },
}


def values_of(proposer: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The values that `options` mean; raises OptionError for what the built-in `proposer` does not have, or not so."""
    kinds = {name: option.kind for name, option in OPTIONS.get(proposer, {}).items()}
    return checked(f"The proposer {proposer!r}", kinds, options)


def configured(proposer: T, name: str, options: Mapping[str, Any]) -> T:
    """`proposer`, which is registered as `name`, with the fields that `options` mean; raises OptionError."""
    for option, value in values_of(name, options).items():
        proposer = _replaced(proposer, OPTIONS[name][option].field, value)
    return proposer


def _replaced(whole: Any, field: str, value: Any) -> Any:
    first, _, rest = field.partition(".")
    return replace(whole, **{first: _replaced(getattr(whole, first), rest, value) if rest else value})
