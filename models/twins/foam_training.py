"""Training of the foam's generator on windows of exact frames, with laws of physics as named residuals.

Foams are kept rolling: most steps start where the generator's own last frame ended, so that it learns to relax its own
errors and sees the T1s that it makes. Where its frame has the topology of the exact one it is held against it; the laws
hold everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from theoros.models.data import Array
from theoros.models.sampling import derived_seed
from theoros.models.twins.foam_critic import Critic, critic_loss, generator_loss
from theoros.models.twins.foam_frames import Generator, Made, Round, next_frames
from theoros.models.twins.foam_laws import seen_by_laws
from theoros.models.twins.physics import Penalties, Residual, Situation
from theoros.oracles.physics.foam import Foam
from theoros.oracles.physics.foam.coarsening import K0
from theoros.oracles.physics.foam.start import FEWEST_BUBBLES

#: Squared errors enter by their logarithms, since they fall by decades: below these they count as nothing.
LEAST_PLACE, LEAST_FORCE, LEAST_GAS = 1e-7, 1e-6, 1e-8


@dataclass(frozen=True)
class Weights:
    """How much each term of the loss counts; a term of weight 0 is not computed."""

    frames: float = 1.0
    gas: float = 1.0
    angles: float = 1.0
    enclosed: float = 1.0
    von_neumann: float = 1.0
    adversarial: float = 0.1

    def without_physics(self) -> Weights:
        """The same without the laws of physics."""
        return replace(self, angles=0.0, enclosed=0.0, von_neumann=0.0)


@dataclass(frozen=True)
class Schedule:
    """How long is trained, and on how much at a time.

    A foam rolls for at most `horizon` frames before it starts anew from an exact one; a frame is made in `rounds`
    rounds at most.
    """

    steps: int = 300
    batch: int = 6
    horizon: int = 12
    rounds: int = 6
    rate: float = 3e-3


@dataclass(frozen=True)
class Window:
    """Consecutive exact frames, at equal intervals in time."""

    frames: tuple[Foam, ...]

    @property
    def interval(self) -> float:
        """The time from frame to frame."""
        return self.frames[1].time - self.frames[0].time


@dataclass
class _Rolling:
    window: Window
    place: int
    foam: Foam
    age: int = 0


class _FrameLaws:
    """Further laws, held against frame after frame; alive while a generator is trained."""

    def __init__(self, laws: Sequence[Residual], generator: Generator) -> None:
        self.penalties = Penalties(laws, generator, lambda _: self.situation)
        self.situation = Situation({}, {})

    def added(self, total: Tensor, made: Made, before: Sequence[Foam]) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss with that of the laws, and their terms by name."""
        if not self.penalties.laws:
            return total, {}
        self.situation = seen_by_laws(made, before)
        if not len(self.situation.conditions["sides"]):  # events have touched every bubble
            return total, {}
        total = self.penalties.added(total[None])[0]
        return total, {name: term[0] for name, term in self.penalties.terms.items()}


@dataclass(frozen=True)
class Trained:
    """A generator, and the mean of each term of its loss over the last quarter of the steps."""

    generator: Generator
    terms: Mapping[str, float]
    critic: Critic | None = field(default=None, repr=False)


def train_generator(
    windows: Sequence[Window],
    *,
    seed: int,
    weights: Weights = Weights(),
    schedule: Schedule = Schedule(),
    start: Generator | None = None,
    laws: Sequence[Residual] = (),
) -> Trained:
    """Train a generator, from the weights of `start` where there is one, with further `laws` (`foam_laws`).

    Raises ArithmeticError when nothing finite is found.
    """
    with torch.random.fork_rng(devices=[]):  # PyTorch draws first weights from its global generator
        torch.manual_seed(derived_seed(seed, "weights"))
        generator, critic = Generator(), Critic() if weights.adversarial else None
    if start is not None:
        generator.load_state_dict(start.state_dict())
    draws = np.random.default_rng(derived_seed(seed, "windows"))
    noise = torch.Generator().manual_seed(derived_seed(seed, "noise"))
    optimizer = torch.optim.Adam(generator.parameters(), schedule.rate)
    judge = torch.optim.Adam(critic.parameters(), schedule.rate, betas=(0.5, 0.9)) if critic is not None else None
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, schedule.steps, 0.05 * schedule.rate)
    rolling = [_fresh(windows, draws) for _ in range(schedule.batch)]
    frame_laws = _FrameLaws(laws, generator)
    seen: list[dict[str, float]] = []
    for _ in range(schedule.steps):
        made = next_frames(
            generator,
            [one.foam for one in rolling],
            [one.window.interval for one in rolling],
            noise,
            least_rounds=3,
            most_rounds=schedule.rounds,
        )
        steps = [(one.window.frames[one.place], one.window.frames[one.place + 1]) for one in rolling]
        exact = [after for _, after in steps]
        before = [one.foam for one in rolling]
        terms = loss_terms(made, before, steps, weights)
        if critic is not None and judge is not None:
            judge.zero_grad()
            judged = critic_loss(critic, exact, made)
            judged.backward()  # type: ignore[no-untyped-call]
            judge.step()
            terms["adversarial"] = generator_loss(critic, made)
        optimizer.zero_grad()
        total = torch.stack([getattr(weights, name) * term for name, term in terms.items()]).sum()
        total, own = frame_laws.added(total, made, before)
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(generator.parameters(), 1.0)
        optimizer.step()
        decay.step()
        seen.append({name: float(term.detach()) for name, term in (terms | own).items()})
        rolling = [
            _rolled(one, foam, windows, draws, schedule.horizon) for one, foam in zip(rolling, made.foams, strict=True)
        ]
    if not all(bool(parameter.isfinite().all()) for parameter in generator.parameters()):
        raise ArithmeticError("the generator's weights are not finite")
    last = seen[-max(1, len(seen) // 4) :]
    return Trained(generator.eval(), mean_terms(last), critic)


def mean_terms(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each term over the rows that have it: events may have touched every bubble of which a law is told."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: float(np.mean([row[name] for row in rows if name in row])) for name in names}


def loss_terms(
    made: Made, before: Sequence[Foam], steps: Sequence[tuple[Foam, Foam]], weights: Weights
) -> dict[str, Tensor]:
    """The terms of the loss, by name, each a number: how far from the exact `steps` (a frame and the next, for each of
    the foams `before`), and how far from the laws.
    """
    terms: dict[str, Tensor] = {}
    if weights.frames:
        terms["frames"] = _places(made, [after for _, after in steps])
    if weights.gas:
        terms["gas"] = _gas(made, before, steps)
    if weights.angles:
        terms["angles"] = _mean([(one.shape.force.pow(2).sum(1).mean() + LEAST_FORCE).log() for one in made.rounds])
    if weights.enclosed:
        gas = [(one.state.areas - one.shape.enclosed).pow(2).mean() for one in made.rounds]
        terms["enclosed"] = _mean([(amount + LEAST_GAS).log() for amount in gas])
    if weights.von_neumann:
        terms["von_neumann"] = (made.rates - K0 * (made.sides - 6)).pow(2).mean()
    return terms


def _places(made: Made, exact: Sequence[Foam]) -> Tensor:
    """Log mean square distance of vertices and pressures from the exact frame's, where the topologies are equal."""
    found = [matched(ours, theirs) for ours, theirs in zip(made.foams, exact, strict=True)]
    sizes = [(len(foam.vertices), foam.bubbles) for foam in made.foams]
    vertices = np.cumsum([0, *(v for v, _ in sizes)])
    rows = [vertices[i] + match.vertices for i, match in enumerate(found) if match is not None]
    if not rows:
        return torch.zeros(())
    places = [m.places / np.sqrt(foam.mean_area) for m, foam in zip(found, exact, strict=True) if m is not None]
    at, wanted = torch.from_numpy(np.concatenate(rows)), torch.from_numpy(np.concatenate(places)).float()
    of = torch.from_numpy(np.repeat(np.arange(len(rows)), [len(r) for r in rows]))
    shared = [one for one in made.rounds if one.graph is made.rounds[-1].graph]  # rounds since the last T1
    return _mean([(_apart(one, at, wanted, of) + LEAST_PLACE).log() for one in shared])


def _apart(one: Round, at: Tensor, wanted: Tensor, of: Tensor) -> Tensor:
    """Mean square distance of vertices from where they should be, less the drift of each foam as a whole."""
    apart = one.state.vertices[at] - wanted
    foams = int(of[-1]) + 1
    count = torch.bincount(of, minlength=foams)[:, None]
    drift = apart.new_zeros((foams, 2)).index_add(0, of, apart) / count
    return (apart - drift[of]).pow(2).sum(1).mean()


def _gas(made: Made, before: Sequence[Foam], steps: Sequence[tuple[Foam, Foam]]) -> Tensor:
    """Mean square error of the rates at which bubbles gain gas, of those whose sides are the exact ones all along."""
    wanted, kept = [], []
    for foam, (now, after) in zip(before, steps, strict=True):
        (sides, areas), (later_sides, later_areas) = _by_name(now), _by_name(after)
        for name, own in zip(foam.ids.tolist(), foam.sides.tolist(), strict=True):
            kept.append(sides.get(name) == later_sides.get(name) == own)
            wanted.append((later_areas[name] - areas[name]) / (after.time - now.time) if kept[-1] else 0.0)
    keep = torch.tensor(kept)
    error = (made.rates - torch.tensor(wanted, dtype=torch.float32)).pow(2)
    return torch.where(keep, error, torch.zeros_like(error)).sum() / keep.sum().clamp(min=1)


def _by_name(foam: Foam) -> tuple[dict[int, int], dict[int, float]]:
    names = foam.ids.tolist()
    return dict(zip(names, foam.sides.tolist(), strict=True)), dict(zip(names, foam.areas.tolist(), strict=True))


@dataclass(frozen=True)
class Match:
    """Which vertex of one foam (rows) has which place in another, nearest image."""

    vertices: NDArray[np.int64]
    places: Array


def matched(ours: Foam, theirs: Foam) -> Match | None:
    """Match vertices by the three bubbles round them; None where those differ or can't tell them apart."""
    a, b = _corners(ours), _corners(theirs)
    if len(a) != len(b):
        return None
    order_a, order_b = np.lexsort(a.T[::-1]), np.lexsort(b.T[::-1])
    a, b = a[order_a], b[order_b]
    if not np.array_equal(a, b) or (np.diff(a, axis=0) == 0).all(1).any():
        return None
    apart = theirs.vertices[order_b] - ours.vertices[order_a]
    return Match(order_a, ours.vertices[order_a] + apart - np.round(apart))


def _corners(foam: Foam) -> NDArray[np.int64]:
    """The names of the three bubbles round each vertex, sorted: 2 N x 3."""
    return np.sort(foam.ids[foam.topology.left[foam.topology.spokes]], axis=1)


def _fresh(windows: Sequence[Window], draws: np.random.Generator) -> _Rolling:
    window = windows[int(draws.integers(len(windows)))]
    place = int(draws.integers(len(window.frames) - 1))
    return _Rolling(window, place, window.frames[place])


def _rolled(one: _Rolling, foam: Foam, windows: Sequence[Window], draws: np.random.Generator, horizon: int) -> _Rolling:
    """The foam one frame on, or a fresh one where its window ends, it has rolled long enough or it has gone astray."""
    astray = not np.isfinite(foam.vertices).all() or foam.bubbles < FEWEST_BUBBLES
    if astray or one.age + 1 >= horizon or one.place + 2 >= len(one.window.frames):
        return _fresh(windows, draws)
    return _Rolling(one.window, one.place + 1, foam, one.age + 1)


def _mean(values: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(values)).mean()
