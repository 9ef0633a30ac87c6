"""A coarsening foam as an oracle (``foam``): a window of its life, as images and as numbers.

`movie` simulates the window: `coarsening` exactly, with `kkt`, `equilibrium` and `topology` beneath it, or `potts`
cheaply.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from theoros.oracles.candidate import Candidate
from theoros.oracles.contract import Answer, Fidelity, Quantity, Value, fidelity_of
from theoros.oracles.physics.foam.films import COLUMNS
from theoros.oracles.physics.foam.movie import Movie, Window, exact_movie, potts_movie
from theoros.oracles.physics.foam.potts import check_numba
from theoros.oracles.physics.foam.start import FEWEST_BUBBLES, FEWEST_POINTS
from theoros.oracles.reference import OracleOptionError
from theoros.oracles.resources import Resources
from theoros.oracles.spaces import Categorical, Integer, Parameter, Parameters, Real, Space
from theoros.oracles.spaces.one_parameter import ends

SCALARS: Mapping[str, Quantity] = {
    "mean_area": Quantity("", (), "mean area of a bubble in the last frame, in areas of the box"),
    "growth_rate": Quantity("", (), "growth of the mean area over the window, over time, in units of K0"),
    "mu2": Quantity("", (), "variance of the number of sides, averaged over the frames"),
    "t1_events": Quantity("", (), "number of T1s in the window"),
}
ARRAYS = ("frames", "areas", "sides", "films")
#: What a space may have.
PARAMETERS = ("bubbles", "disorder", "age", "seed")
#: What the levels cost: measured for 64 bubbles, see benchmarks/foam_levels.csv.
MOVIES = {"cheap": potts_movie, "exact": exact_movie}
CHEAP_COST = 0.1
RESOURCES = Resources(num_cpus=1, timeout=3600)


class FoamOptions(BaseModel):
    """The options of `FoamOracle`, as a campaign file gives them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bubbles: int = Field(default=64, ge=FEWEST_POINTS)
    disorder: float = Field(default=0.5, ge=0, allow_inf_nan=False)
    age: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    seed: int = Field(default=0, ge=0)
    frames: int = Field(default=20, ge=2)
    interval: float = Field(default=0.02, gt=0, allow_inf_nan=False)
    pixels: int = Field(default=64, ge=8)
    outputs: tuple[str, ...] = Field(default=tuple(SCALARS), min_length=1)
    fidelities: tuple[str, ...] = Field(default=("exact",), min_length=1)
    resources: Resources = RESOURCES

    @model_validator(mode="after")
    def _known(self) -> FoamOptions:
        for kind, given, known in (
            ("output", self.outputs, (*SCALARS, *ARRAYS)),
            ("fidelity", self.fidelities, tuple(MOVIES)),
        ):
            for name in given:
                if name not in known:
                    raise ValueError(f"no {kind} is called {name!r}. There are {', '.join(known)}")
        if list(self.fidelities) != [name for name in MOVIES if name in self.fidelities]:
            raise ValueError("fidelities go from cheap to exact, each once. Write [cheap, exact]")
        if "films" in self.outputs and "cheap" in self.fidelities:
            raise ValueError("the cheap level has no films. Leave out films, or the level")
        return self


def default_space() -> Parameters:
    """Foams from nearly equal bubbles to those of random points, young and old."""
    return Parameters(disorder=Real(0, 1), age=Real(0, 2), seed=Integer(0, 999))


class FoamOracle:
    """What happens to a two-dimensional dry foam in a window of time.

    The space has some of ``bubbles`` (at the start), ``disorder`` (of their Voronoi points, in mean spacings), ``age``
    (in half-lives: the window starts when ``bubbles / 2^age`` are left) and ``seed``; for what it lacks, options of the
    same names say it. The window has `frames` frames, each an `interval` after the one before, in units of the mean
    area at its start over K0. Outputs are the numbers of `SCALARS`, and where they are asked for ``frames`` (frames x
    pixels x pixels, the id of the bubble at each pixel), ``areas`` (frames x bubbles, by id, in areas of the box, 0
    when gone), ``sides`` (frames x bubbles) and, of the exact level alone, ``films`` (one row for each film of each
    frame, with the columns of `theoros.oracles.physics.foam.films`). `fidelities` are ``cheap`` (a Potts model) and
    ``exact`` (an arc network in equilibrium).

    Raises at construction: ValidationError or OracleOptionError for options or a space that make no foam,
    MissingDependency when the cheap level lacks numba.
    """

    name: str = "foam"
    cache_version: str = "1"
    deterministic = True

    def __init__(
        self,
        *,
        space: Space | None = None,
        bubbles: int = 64,
        disorder: float = 0.5,
        age: float = 0.0,
        seed: int = 0,
        frames: int = 20,
        interval: float = 0.02,
        pixels: int = 64,
        outputs: Sequence[str] = tuple(SCALARS),
        fidelities: Sequence[str] = ("exact",),
        resources: Mapping[str, Any] | Resources = RESOURCES,
    ) -> None:
        given = {name: value for name, value in locals().items() if name in FoamOptions.model_fields}
        self.options = options = FoamOptions.model_validate(given)
        if "cheap" in options.fidelities:
            check_numba()
        self.space: Space = _checked_space(space, options)
        size = (options.frames, options.pixels, options.pixels)
        arrays = {
            "frames": Quantity("", size, "id of the bubble at the middle of each pixel"),
            "areas": Quantity("", (options.frames, "bubbles"), "areas by id, in areas of the box, 0 when gone"),
            "sides": Quantity("", (options.frames, "bubbles"), "numbers of sides by id, 0 when gone"),
            "films": Quantity("", ("films", len(COLUMNS)), "every film of every frame"),
        }
        self.outputs: Mapping[str, Quantity] = {name: ({**SCALARS, **arrays})[name] for name in options.outputs}
        self.resources = options.resources
        settings = options.model_dump(mode="json", exclude={"outputs", "fidelities", "resources"})
        self.fidelities: tuple[Fidelity, ...] = tuple(
            Fidelity(level, CHEAP_COST if level != options.fidelities[-1] else 1.0, settings | {"level": level})
            for level in options.fidelities
        )

    @property
    def constants(self) -> dict[str, float]:
        """What is the same of every foam: the options that stand for parameters which the space lacks."""
        declared = getattr(self.space, "parameters", {})
        return {name: getattr(self.options, name) for name in PARAMETERS if name not in declared}

    def evaluate(self, candidate: Candidate, fidelity: str) -> Answer:
        """Simulate the candidate's window at the level `fidelity`.

        Raises InvalidCandidate outside the space and for a window that the foam does not reach or does not outlive, and
        NotConverged where the foam finds no equilibrium.
        """
        level = fidelity_of(self, fidelity)
        movie = MOVIES[level.name](self.window(self.space.candidate(candidate.data).data))
        values = _values(movie)
        return Answer({name: values[name] for name in self.outputs}, {"frame_interval": movie.interval})

    def window(self, data: Mapping[str, Any]) -> Window:
        """The window that a candidate's data say."""
        options = self.options
        return Window(
            int(data.get("bubbles", options.bubbles)),
            float(data.get("disorder", options.disorder)),
            float(data.get("age", options.age)),
            int(data.get("seed", options.seed)),
            options.frames,
            options.interval,
            options.pixels,
        )


def _values(movie: Movie) -> dict[str, Value]:
    films: dict[str, Value] = {} if movie.films is None else {"films": movie.films}
    return films | {
        "mean_area": float(movie.mean_areas[-1]),
        "growth_rate": movie.growth_rate,
        "mu2": movie.mu2,
        "t1_events": float(movie.t1_events),
        "frames": movie.images.astype(float),
        "areas": movie.areas,
        "sides": movie.sides.astype(float),
    }


def _checked_space(space: Space | None, options: FoamOptions) -> Parameters:
    """The space to be asked; raises OracleOptionError when it has what no foam has, or foams too small."""
    space = default_space() if space is None else space
    names = set(space.parameters) if isinstance(space, Parameters) else set()
    if not isinstance(space, Parameters) or not names <= set(PARAMETERS):
        raise OracleOptionError(
            ("space",),
            f"a foam has {', '.join(PARAMETERS)}. Declare parameters of these names; there are {sorted(names)}.",
        )
    ranges = {name: _range(name, parameter) for name, parameter in space.parameters.items()}
    for name in ("disorder", "age", "seed"):
        if name in ranges and (low := ranges[name][0]) < 0:
            raise OracleOptionError(("space", name), f"it reaches down to {low:g}. Start at 0 or above.")
    fewest, _ = ranges.get("bubbles", (options.bubbles, options.bubbles))
    _, oldest = ranges.get("age", (options.age, options.age))
    left = Window(int(fewest), 0.0, float(oldest), 0).first_bubbles
    if fewest < FEWEST_POINTS:
        raise OracleOptionError(
            ("space", "bubbles"), f"it reaches down to {fewest:g}. A foam starts with {FEWEST_POINTS} or more."
        )
    if left < FEWEST_BUBBLES:
        raise OracleOptionError(
            ("space",),
            f"{left} bubbles would be left at age {oldest:g}, and a foam needs {FEWEST_BUBBLES}. Start with more.",
        )
    return space


def _range(name: str, parameter: Parameter) -> tuple[float, float]:
    """The least and the greatest value; raises OracleOptionError for words, and for fractions where there are none."""
    try:
        low, high = ends(parameter)
    except ValueError as error:
        raise OracleOptionError(("space", name), f"{error}. Give numbers.") from None
    choices = parameter.choices if isinstance(parameter, Categorical) else ()
    if name in ("bubbles", "seed") and (isinstance(parameter, Real) or any(float(c) % 1 for c in choices)):
        raise OracleOptionError(("space", name), "it has fractions, which a foam can't have. Declare it as integer.")
    return low, high
