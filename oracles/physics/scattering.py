"""A charged particle scattered by fixed charges (``scattering``): where it is detected, and when.

`scattering_setup` says what is shot at what, in which units, and where particles enter the chamber; `scattering_motion`
follows them, by `scattering_kernel` or SciPy; `scattering_exact` is what is known in closed form; `scattering_events`
has beams and detectors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from theoros.oracles.candidate import Candidate
from theoros.oracles.contract import Answer, Fidelity, Quantity, fidelity_of
from theoros.oracles.failures import InvalidCandidate, NotConverged
from theoros.oracles.physics.scattering_events import Detector, detect, free_time
from theoros.oracles.physics.scattering_motion import ENDS, INTEGRATORS, Flights, check_numba, fly
from theoros.oracles.physics.scattering_setup import PROTON_MASS, TIME_UNIT, Events, Setup, entrance, events
from theoros.oracles.reference import OracleOptionError
from theoros.oracles.rehearsal import generator
from theoros.oracles.resources import Resources
from theoros.oracles.spaces import Parameters, Real, Space
from theoros.oracles.spaces.one_parameter import ends

OUTPUTS: Mapping[str, Quantity] = {
    "x": Quantity("angstrom", (), "where the detector saw the particle, along the beam from the centre of charge"),
    "y": Quantity("angstrom", (), "where the detector saw the particle, across the beam"),
    "time": Quantity("fs", (), "time of flight from rim to rim of the chamber, as measured"),
    "delay": Quantity("fs", (), "time less that of a free particle through the middle of the chamber"),
    "angle": Quantity("rad", (), "direction of the velocity on the rim, -pi to pi, without the detector's noise"),
    "closest": Quantity("angstrom", (), "least distance to any centre, without the detector's noise"),
}
#: What the detector's noise is added to.
MEASURED = ("x", "y", "time", "delay")
#: What a space may have; the first two it must have.
PARAMETERS = ("energy", "impact_parameter", "charge", "screening")
#: The units in which an event reads them: a space says the same, or none.
UNITS: Mapping[str, str] = {"energy": "eV", "impact_parameter": "angstrom", "screening": "1/angstrom"}
RESOURCES = Resources(num_cpus=1, timeout=600)


class _Noise(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    position: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    time: float = Field(default=0.0, ge=0, allow_inf_nan=False)


class ScatteringOptions(BaseModel):
    """The options of `ScatteringOracle`, as a campaign file gives them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    charge: float = Field(default=1.0, allow_inf_nan=False)
    screening: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    centres: tuple[tuple[float, float, float], ...] = Field(default=((0.0, 0.0, 1.0),), min_length=1)
    radius: float = Field(default=100.0, gt=0, allow_inf_nan=False)
    mass: float = Field(default=PROTON_MASS, gt=0, allow_inf_nan=False)
    cyclotron: float = Field(default=0.0, allow_inf_nan=False)
    noise: _Noise = _Noise()
    acceptance: tuple[float, float] = (0.0, 180.0)
    outputs: tuple[str, ...] = Field(default=("x", "y", "delay"), min_length=1)
    integrator: str = "fast"
    seed: int = 0
    resources: Resources = RESOURCES

    @model_validator(mode="after")
    def _known(self) -> ScatteringOptions:
        for name in self.outputs:
            if name not in OUTPUTS:
                raise ValueError(f"no output is called {name!r}. There are {', '.join(OUTPUTS)}")
        if self.integrator not in INTEGRATORS:
            raise ValueError(f"no integrator is called {self.integrator!r}. There are {', '.join(INTEGRATORS)}")
        return self


def default_space() -> Parameters:
    """Energies and impact parameters at which a unit charge is bent by any angle."""
    return Parameters(energy=Real(1.44, 144, log=True, unit="eV"), impact_parameter=Real(-3, 3, unit="angstrom"))


class ScatteringOracle:
    """Where and when a charged particle leaves a round chamber with fixed charges in its middle.

    The space has ``energy`` (eV, far away), ``impact_parameter`` (angstrom, far away, signed) and, where they are asked
    for, ``charge`` (the product of the charge numbers of particle and target; negative attracts) and ``screening`` (the
    inverse length of a Yukawa potential in 1/angstrom); where the space lacks the latter two, the options `charge` and
    `screening` say what they are. `centres` are rows of x, y (angstrom) and share of the charge, `radius` (angstrom) is
    the chamber's, `mass` (u) the particle's (a proton's, if not said), `cyclotron` (rad/fs) turns particles in a
    magnetic field that fills the chamber. The detector is the chamber's rim, with `noise` (``{position: angstrom, time:
    fs}``, standard deviations) and `acceptance` (degrees); with noise the oracle is not deterministic. `integrator` is
    ``fast`` (numba, Dormand-Prince 5(4)) or ``dop853`` (SciPy).

    Raises at construction: ValidationError or OracleOptionError for options that make no experiment, MissingDependency
    when the fast integrator lacks numba.
    """

    name: str = "scattering"
    cache_version: str = "2"

    def __init__(
        self,
        *,
        space: Space | None = None,
        charge: float = 1.0,
        screening: float = 0.0,
        centres: Sequence[Sequence[float]] = ((0.0, 0.0, 1.0),),
        radius: float = 100.0,
        mass: float = PROTON_MASS,
        cyclotron: float = 0.0,
        noise: Mapping[str, float] | None = None,
        acceptance: Sequence[float] = (0.0, 180.0),
        outputs: Sequence[str] = ("x", "y", "delay"),
        integrator: str = "fast",
        seed: int = 0,
        resources: Mapping[str, Any] | Resources = RESOURCES,
    ) -> None:
        given = {name: value for name, value in locals().items() if name in ScatteringOptions.model_fields}
        self.options = options = ScatteringOptions.model_validate(given | {"noise": noise or {}})
        try:
            self.setup = Setup(options.centres, options.radius, options.mass, options.cyclotron)
            self.detector = Detector(options.noise.position, options.noise.time, options.acceptance)
        except ValueError as error:
            raise OracleOptionError((), f"{error}.") from None
        if options.integrator == "fast":
            check_numba()
        self.space: Space = _checked_space(space)
        self.outputs: Mapping[str, Quantity] = {output: OUTPUTS[output] for output in options.outputs}
        self.resources = options.resources
        noisy = {"x": options.noise.position, "y": options.noise.position}
        noisy |= {"time": options.noise.time, "delay": options.noise.time}
        self.deterministic = not any(noisy.get(output, 0.0) for output in options.outputs)
        self.fidelities: tuple[Fidelity, ...] = (Fidelity("full", settings=self._settings()),)
        self._repeats: dict[str, int] = {}

    def evaluate(self, candidate: Candidate, fidelity: str) -> Answer:
        """Shoot one particle.

        Raises InvalidCandidate for one that never enters the chamber, meets a centre or leaves where the detector does
        not see it, NotConverged for one that is still inside after more steps than a flight takes.
        """
        fidelity_of(self, fidelity)
        shot = self.shot(self.space.candidate(candidate.data).data)
        flights = fly(self.setup, shot, self.options.integrator)
        self._check_seen(shot, flights)
        times = self._repeats[candidate.hash] = self._repeats.get(candidate.hash, 0) + 1
        hits = detect(self.detector, flights, generator("detector", self.options.seed, candidate.hash, times))
        free = float(free_time(self.setup, shot)[0]) * TIME_UNIT
        values = {
            "x": hits.x[0],
            "y": hits.y[0],
            "time": hits.time[0],
            "delay": hits.time[0] - free,
            "angle": flights.angle[0],
            "closest": flights.closest[0],
        }
        return Answer({output: float(values[output]) for output in self.outputs})

    def shot(self, data: Mapping[str, Any]) -> Events:
        """The one event that a candidate's data say."""
        return events(
            float(data["energy"]),
            float(data["impact_parameter"]),
            float(data.get("charge", self.options.charge)),
            float(data.get("screening", self.options.screening)),
        )

    def _check_seen(self, shot: Events, flights: Flights) -> None:
        if not np.isfinite(entrance(self.setup, shot)).all():
            raise InvalidCandidate(
                f"the particle never comes within {self.setup.radius:g} angstrom of the target: it turns back or "
                "passes by outside. Raise its energy, lower its impact parameter, or enlarge the radius."
            )
        if ENDS[flights.how[0]] == "collided":
            raise InvalidCandidate("the particle runs into a centre, where the potential has no bottom.")
        if ENDS[flights.how[0]] == "trapped":
            raise NotConverged("the particle is still in the chamber after more steps than a flight takes.")
        if not self.detector.sees(flights)[0]:
            low, high = self.detector.acceptance
            raise InvalidCandidate(
                f"the particle leaves at {np.degrees(abs(flights.polar[0])):.2f} degrees to the beam, where the "
                f"detector, which covers {low:g} to {high:g}, does not see it."
            )

    def _settings(self) -> dict[str, Any]:
        options = self.options
        settings = dict(self.setup.settings) | {
            "charge": options.charge,
            "screening": options.screening,
            "acceptance": list(options.acceptance),
            "integrator": options.integrator,
        }
        if not self.deterministic:
            settings |= {"noise": options.noise.model_dump(), "seed": options.seed}
        return settings


def _checked_space(space: Space | None) -> Parameters:
    """The space to be asked; raises OracleOptionError when it lacks what an event needs, has more, or other units."""
    if space is None:
        return default_space()
    names = set(space.parameters) if isinstance(space, Parameters) else set()
    if not isinstance(space, Parameters) or not set(PARAMETERS[:2]) <= names <= set(PARAMETERS):
        raise OracleOptionError(
            ("space",),
            f"an event has {', '.join(PARAMETERS[:2])} and may have {', '.join(PARAMETERS[2:])}. "
            f"Declare parameters of these names; there are {sorted(names)}.",
        )
    for name, parameter in space.parameters.items():
        unit = UNITS.get(name)
        if unit is not None and parameter.unit not in ("", unit):
            raise OracleOptionError(("space", name), f"it is in {parameter.unit}. Give it in {unit}.")
        try:
            low, _ = ends(parameter)
        except ValueError as error:
            raise OracleOptionError(("space", name), f"{error}. Give numbers.") from None
        if (name == "energy" and low <= 0) or (name == "screening" and low < 0):
            raise OracleOptionError(("space", name), f"it reaches down to {low:g}. Keep it positive.")
    return space
