"""What an evaluation needs: processors, GPUs, memory and time."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

_SECONDS = {"s": 1, "sec": 1, "second": 1, "min": 60, "minute": 60, "h": 3600, "hour": 3600, "d": 86400, "day": 86400}
_BYTES = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}


def parse_duration(value: Any) -> Any:
    """Turn ``90``, ``"90 s"``, ``"10 min"``, ``"2 h"`` or ``"1 day"`` into seconds; raises ValueError otherwise."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*([\d.]+)\s*([a-z]*?)s?\s*", value)
    unit = (match[2] or "s") if match else ""
    if not match or unit not in _SECONDS:
        raise ValueError(f"{value!r} is not a duration; write for example '90 s', '10 min', '2 h' or '1 day'")
    return float(match[1]) * _SECONDS[unit]


def parse_memory(value: Any) -> Any:
    """Turn ``2147483648``, ``"2 GiB"`` or ``"500 MB"`` into bytes; raises ValueError otherwise."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*([\d.]+)\s*([A-Za-z]+)\s*", value)
    if not match or match[2] not in _BYTES:
        raise ValueError(f"{value!r} is not an amount of memory; write for example '2 GiB' or '500 MB'")
    return int(float(match[1]) * _BYTES[match[2]])


def whole_gpus(value: float) -> float:
    """Let a share of one GPU or whole ones pass, which is what Ray can give; raises ValueError otherwise."""
    if value > 1 and value != int(value):
        raise ValueError(f"{value:g} GPUs cannot be had; ask for a share of one (0.5) or for whole ones ({int(value)})")
    return value


Seconds = Annotated[float, BeforeValidator(parse_duration), Field(gt=0)]
Bytes = Annotated[int, BeforeValidator(parse_memory), Field(gt=0)]


class Resources(BaseModel):
    """What one evaluation needs, in Ray's terms, with its limits.

    `memory` (bytes) is both what a cluster must have free and the limit at which the evaluation is stopped; `timeout`
    (seconds) is its deadline. `custom` are Ray's custom resources, for example ``{"qchem_licence": 1}``. With
    `isolate` each evaluation gets a fresh process; otherwise a warm one is reused.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_cpus: float = Field(default=1.0, ge=0)
    num_gpus: Annotated[float, AfterValidator(whole_gpus)] = Field(default=0.0, ge=0)
    memory: Bytes | None = None
    timeout: Seconds = 3600.0
    custom: dict[str, float] = Field(default_factory=dict)
    isolate: bool = False

    @property
    def threads(self) -> int:
        """Threads that native code may use: the processors, rounded down, and never fewer than one."""
        return max(1, int(self.num_cpus))
