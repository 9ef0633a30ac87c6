"""How good is the foam's twin on foams that it has not seen, and how much faster than the simulator is it?

    python -m benchmarks.foam_twin --seeds 3
    python -m benchmarks.foam_twin --speed

Test foams begin with 64 Voronoi bubbles of disorder 0.2 to 0.5 and coarsen for 50 frames, 0.04 initial mean areas (over
permeability and tension) apart, in which about half of the bubbles vanish. The simulator's frames are kept in the cache
folder. Trained is on windows of 20 frames of other foams, of disorder and age at random (`--windows`); a row is one
method trained on so many windows from one seed, with the figures of `theoros.models.twins.foam_scores`:

- `gas_drift`: largest share of gas lost or made; `strangers`: bubbles born, merged or split;
- `slope`, `intercept`, `law_residual`: von Neumann's law as the frames obey it;
- `angle_rms` (degrees): angles between films, beyond what exact frames show; `enclosed_rms`: what films enclose beyond
  a bubble's gas, in mean areas;
- `side_distance`: total variation between the distributions of sides, over the last 25 frames;
- `growth_single`, `growth_together`: relative error (root mean square) of the mean area of single foams, and of all;
- `t1_found`: share of the T1s that happen between the same bubbles, at most one frame off, over all 50 frames, and
  `t1_found_short` that of roll-outs of five frames from exact ones;
- `frame_ms`: processor time of a frame of one foam, all test foams being rolled out at once.

Methods: the twin; without the terms of physics in its loss; without the critic; persistence, which never changes; a
U-Net on images of 96 pixels a side (`benchmarks.foam_twin_unet`), of which angles and T1s are not told; and, to show
what chaos leaves to be foreseen, the simulator itself from a start whose bubbles have 0.1 % (standard deviation) more
or less gas: `disturbed`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks import foam_twin_unet
from benchmarks.surroundings import apart
from benchmarks.table import Table, column
from theoros.models.sampling import derived_seed
from theoros.models.twins.foam_frames import Generator
from theoros.models.twins.foam_rollout import rolled_out
from theoros.models.twins.foam_scores import Rollout, scores, share_of_flips
from theoros.models.twins.foam_training import Schedule, Weights, Window, train_generator
from theoros.oracles.cache_folder import cache_folder
from theoros.oracles.physics.foam import T1, Event, Foam, advance, coarsen_to, equilibrate, raster, voronoi
from theoros.oracles.physics.foam.films import films_of, foams_of

BUBBLES, FRAMES, WINDOW, INTERVAL = 64, 50, 20, 0.04
SHORT, EVERY = 5, 10
WEIGHTS: Mapping[str, Weights] = {
    "twin": Weights(),
    "without physics": Weights().without_physics(),
    "without critic": Weights(adversarial=0.0),
}
METHODS = ("twin", "without physics", "without critic", "persistence", "unet", "disturbed")
#: Those that learn nothing.
UNTAUGHT = ("persistence", "disturbed")
#: By what share (standard deviation) bubbles' gas is `disturbed`.
DISTURBANCE = 1e-3
PIXELS = 96
FIGURES = (
    "gas_drift",
    "slope",
    "intercept",
    "law_residual",
    "angle_rms",
    "enclosed_rms",
    "side_distance",
    "growth_single",
    "growth_together",
    "strangers",
    "t1_found",
    "t1_found_short",
    "frame_ms",
)
TABLE = Table("foam_twin", keys=("method", "windows", "steps", "foams", "seed"))
SPEED = Table("foam_twin_speed", keys=("method", "bubbles", "together", "seed"))


def simulated(start: Foam, interval: float, frames: int) -> Rollout:
    """`frames` exact frames after `start`."""
    foams, events = [start], []
    for _ in range(frames):
        foam, happened = advance(foams[-1], interval)
        foams.append(foam)
        events.append(happened)
    return Rollout(tuple(foams), tuple(events))


def start_of(bubbles: int, disorder: float, age: float, seed: int) -> Foam:
    """A foam in equilibrium, `age` half-lives old."""
    foam = equilibrate(voronoi(bubbles, disorder, seed))
    return coarsen_to(foam, round(bubbles * 0.5**age)).foam if age else foam


def unseen(number: int) -> Rollout:
    """A test foam's exact frames, from the cache folder where they are there."""
    kept = cache_folder() / "foam_twin" / f"unseen_{BUBBLES}_{FRAMES}_{INTERVAL}_{number}.npz"
    if not kept.exists():
        start = start_of(BUBBLES, 0.2 + 0.1 * (number % 4), 0.0, 9000 + number)
        rollout = simulated(start, INTERVAL * start.mean_area, FRAMES)
        flips = [
            (frame, *event.parted, *event.met)
            for frame, events in enumerate(rollout.events)
            for event in events
            if isinstance(event, T1)
        ]
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(kept, films=films_of(rollout.frames), flips=np.array(flips).reshape(-1, 5))
    return _read(kept)


def _read(kept: Path) -> Rollout:
    with np.load(kept, allow_pickle=False) as arrays:
        frames, flips = foams_of(arrays["films"]), arrays["flips"].astype(int)
    events: list[list[Event]] = [[] for _ in frames[1:]]
    for frame, a, b, c, d in flips.tolist():
        events[frame].append(T1(frames[frame + 1].time, (a, b), (c, d)))
    return Rollout(frames, tuple(tuple(own) for own in events))


def training_windows(count: int, seed: int) -> list[Window]:
    """Windows of disorder 0.1 to 0.6 and of up to one half-life, at random."""
    draws, windows = np.random.default_rng(derived_seed(seed, "training windows")), []
    for _ in range(count):
        disorder, age = float(draws.uniform(0.1, 0.6)), float(draws.uniform(0, 1))
        start = start_of(BUBBLES, disorder, age, int(draws.integers(2**31)))
        windows.append(Window(simulated(start, INTERVAL * start.mean_area, WINDOW).frames))
    return windows


#: Rolls foams out at intervals (one each) for so many frames.
Roller = Callable[[Sequence[Foam], Sequence[float], int], list[Rollout]]


def made_by(generator: Generator, seed: int) -> Roller:
    """Roll-outs by a generator."""
    return lambda starts, intervals, frames: rolled_out(generator, starts, intervals, frames, seed=seed)


def persistent(starts: Sequence[Foam], intervals: Sequence[float], frames: int) -> list[Rollout]:
    """Foams that never change."""
    return [
        Rollout(tuple(replace(start, time=start.time + i * dt) for i in range(frames + 1)), ((),) * frames)
        for start, dt in zip(starts, intervals, strict=True)
    ]


def disturbed(seed: int) -> Roller:
    """Exact frames after starts whose bubbles have a little more or less gas than they should."""
    draws = np.random.default_rng(derived_seed(seed, "disturbed"))

    def roll(starts: Sequence[Foam], intervals: Sequence[float], frames: int) -> list[Rollout]:
        made = []
        for start, interval in zip(starts, intervals, strict=True):
            areas = start.areas * (1 + DISTURBANCE * draws.standard_normal(start.bubbles))
            near = equilibrate(replace(start, areas=areas / areas.sum()))
            made.append(simulated(near, interval, frames))
        return made

    return roll


def figures(roll: Roller, exact: Sequence[Rollout]) -> dict[str, float]:
    """All figures of roll-outs from where the exact foams start."""
    started = time.process_time()
    made = _beside(roll, exact, FRAMES)
    seconds = time.process_time() - started
    found = dict(scores(exact, made))
    parts = [
        Rollout(one.frames[first : first + SHORT + 2], one.events[first : first + SHORT + 1])
        for one in exact
        for first in range(0, FRAMES - SHORT, EVERY)
    ]
    found["t1_found_short"] = share_of_flips(parts, _beside(roll, parts, SHORT + 1), SHORT)
    found["frame_ms"] = 1000 * seconds / sum(len(one.events) for one in made)
    return found


def _beside(roll: Roller, exact: Sequence[Rollout], frames: int) -> list[Rollout]:
    intervals = [one.frames[1].time - one.frames[0].time for one in exact]
    return roll([one.frames[0] for one in exact], intervals, frames)


def movie(frames: Sequence[Foam]) -> foam_twin_unet.Movie:
    """Frames as images."""
    return foam_twin_unet.Movie(tuple(raster(foam, PIXELS) for foam in frames), frames[1].time - frames[0].time)


def unet_figures(net: foam_twin_unet.UNet, exact: Sequence[Rollout]) -> dict[str, float]:
    """The figures that images tell."""
    movies = [movie(one.frames) for one in exact]
    started = time.process_time()
    made = [foam_twin_unet.rolled_out(net, own.images[0], FRAMES) for own in movies]
    seconds = time.process_time() - started
    return foam_twin_unet.scores(movies, made) | {"frame_ms": 1000 * seconds / (FRAMES * len(made))}


def measure(method: str, windows: int, steps: int, foams: int, seed: int) -> None:
    """Train and roll out: a row of the table."""
    torch.set_num_threads(1)
    exact = [unseen(number) for number in range(foams)]
    started, simulating, training = time.process_time(), 0.0, 0.0
    if method in UNTAUGHT:
        found = figures(persistent if method == "persistence" else disturbed(seed), exact)
    else:
        data = training_windows(windows, seed)
        simulating, started = time.process_time() - started, time.process_time()
        if method == "unet":
            net = foam_twin_unet.train([movie(window.frames) for window in data], steps, seed)
            training = time.process_time() - started
            found = unet_figures(net, exact)
        else:
            trained = train_generator(data, seed=seed, weights=WEIGHTS[method], schedule=Schedule(steps=steps))
            training = time.process_time() - started
            found = figures(made_by(trained.generator, seed), exact)
    TABLE.append(
        ("torch",),
        method=method,
        windows=windows,
        steps=steps,
        foams=foams,
        seed=seed,
        **{name: float(f"{found[name]:.5g}") if name in found else "" for name in FIGURES},
        windows_seconds=round(simulating, 1),
        training_seconds=round(training, 1),
    )


def measure_speed(bubbles: int, seed: int) -> None:
    """Processor time of a frame with its picture (128 pixels a side), by the simulator and by the twin."""
    torch.set_num_threads(1)
    frames = 5
    start = start_of(bubbles, 0.4, 0.0, seed)
    interval = INTERVAL * start.mean_area
    generator = train_generator(training_windows(2, seed), seed=seed, schedule=Schedule(steps=100)).generator
    simulated(start, interval, 1)
    rolled_out(generator, [start], [interval], 1, seed=seed)
    for method, together in (("simulator", 1), ("twin", 1), ("twin", 8)):
        started = time.process_time()
        if method == "simulator":
            made = [simulated(start, interval, frames)]
        else:
            made = rolled_out(generator, [start] * together, [interval] * together, frames, seed=seed)
        for one in made:
            for foam in one.frames[1:]:
                raster(foam, 128)
        seconds = (time.process_time() - started) / (frames * together)
        SPEED.append(
            ("torch",),
            method=method,
            bubbles=bubbles,
            together=together,
            seed=seed,
            frame_ms=round(1000 * seconds, 2),
        )


def report() -> None:
    """Print the median of each figure over the seeds."""
    rows = TABLE.rows()
    kinds = dict.fromkeys((r["method"], r["windows"], r["steps"], r["foams"]) for r in rows)
    for method, windows, steps, foams in kinds:
        where = {"method": method, "windows": windows, "steps": steps, "foams": foams}
        names = [name for name in rows[0] if name not in (*TABLE.keys, "date", "machine", "versions")]
        own = {name: column(rows, name, **where) for name in names}
        print(f"{method}, {windows} windows, {steps} steps, {foams} foams, n = {len(own['slope'])}")
        print("  " + "  ".join(f"{name} {np.median(values):.4g}" for name, values in own.items() if values))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), metavar="METHOD")
    parser.add_argument("--windows", type=int, nargs="+", default=[16])
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--foams", type=int, default=40)
    parser.add_argument("--speed", action="store_true", help="measure the time of a frame, and no more")
    chosen = parser.parse_known_args()[0]
    for seed in range(chosen.first_seed, chosen.first_seed + chosen.seeds):
        if chosen.speed:
            for bubbles in (100, 1000):
                if not SPEED.has(bubbles=bubbles, seed=seed):
                    apart(measure_speed, bubbles, seed)
            continue
        for windows in chosen.windows:
            for method in chosen.methods:
                size, steps = (0, 0) if method in UNTAUGHT else (windows, chosen.steps)
                if not TABLE.has(method=method, windows=size, steps=steps, foams=chosen.foams, seed=seed):
                    apart(measure, method, size, steps, chosen.foams, seed)
    if not chosen.speed:
        report()


if __name__ == "__main__":
    main()
