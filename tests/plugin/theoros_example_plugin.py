"""A damped spring: how far it still swings after a while. Written against the public names of theoros.oracles only."""

from __future__ import annotations

import math
from collections.abc import Mapping

from theoros.oracles import Answer, Candidate, Fidelity, Parameters, Quantity, Real, Resources, Space
from theoros.oracles.failures import NotConverged


class Spring:
    """The amplitude of ``m x'' + c x' + k x = 0`` at `time` seconds after a release from 1 m, underdamped."""

    name = "spring"
    cache_version = "1"
    deterministic = True
    outputs: Mapping[str, Quantity] = {"amplitude": Quantity("m", description="envelope of the swing")}
    resources = Resources(num_cpus=1, timeout=10)

    def __init__(self, *, time: float = 1.0, space: Space | None = None) -> None:
        if time < 0:
            raise ValueError(f"time {time} is negative. Give seconds after the release.")
        self.time = time
        # What changes the answers stands in the settings: they tell cached answers of different times apart.
        self.fidelities: tuple[Fidelity, ...] = (Fidelity("exact", settings={"time": time}),)
        self.space: Space = space or Parameters(
            mass=Real(0.1, 10, log=True, unit="kg"),
            damping=Real(0.0, 5.0, unit="kg/s"),
            stiffness=Real(1.0, 100.0, log=True, unit="N/m"),
        )

    def evaluate(self, candidate: Candidate, fidelity: str) -> Answer:
        """Answer in closed form; overdamped springs do not swing, and fail."""
        data = self.space.candidate(candidate.data).data
        rate = data["damping"] / (2 * data["mass"])
        if rate**2 >= data["stiffness"] / data["mass"]:
            raise NotConverged("the spring is overdamped, so it has no amplitude")
        return Answer({"amplitude": math.exp(-rate * self.time)}, {"rate_per_second": rate})
