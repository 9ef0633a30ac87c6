"""A foam's window beside what its twin made of it, as drawings of films that stand in the page, and as an animation."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from theoros.db import Store
from theoros.models.twins.unseen import DRAWN, PICTURED
from theoros.oracles.physics.foam.films import COLUMNS, foams_of
from theoros.oracles.physics.foam.network import Foam, chords
from theoros.oracles.physics.foam.raster import raster
from theoros.orchestrator.report.html import Html, tag

#: The array that holds films, in labels and in model versions.
FILMS = "films"
#: A page holds drawings of so many films at most, about 30 bytes each: of large foams fewer frames are shown.
MOST_FILMS = 7_000
#: The side of the box in units of a drawing; seconds that an animation shows a frame; pixels by which bubbles compare.
SIDE, SECONDS, PIXELS = 1000, 0.5, 128
#: Colours of the simulator's films and of the twin's where they lie over each other: dark where they agree.
EXACT, MADE = "#1f77b4", "#d62728"


@dataclass(frozen=True)
class Windows:
    """The window of evaluation `label`, simulated and as the model before version `version` rolled it out.

    `exact` and `made` are frames side by side, as many of either as both have: a twin's end where it went astray.
    """

    label: int
    version: int
    exact: tuple[Foam, ...]
    made: tuple[Foam, ...]


def windows(store: Store, campaign: str) -> Windows | None:
    """The last window that a model version keeps; None where there is none, or where the label's films are not kept.

    A twin that went astray before its first frame tells nothing.
    """
    for version in reversed(store.model_versions(campaign)):
        films = version.arrays.get(FILMS)
        label = (version.hyperparameters.get(DRAWN) or {}).get(PICTURED)
        if films is None or label is None or films.shape[1:] != (len(COLUMNS),):
            continue
        found = [record for record in store.label_records(campaign) if record.sequence == label]
        if found and FILMS in found[0].values:
            made = tuple(itertools.takewhile(_can_be_drawn, foams_of(films.read())))
            pairs = list(zip(foams_of(found[0].values[FILMS]), made, strict=False))
            if pairs:
                return Windows(label, version.number, tuple(a for a, _ in pairs), tuple(b for _, b in pairs))
    return None


def _can_be_drawn(foam: Foam) -> bool:
    return bool(np.isfinite(foam.vertices).all() and np.isfinite(foam.half_angles).all())


def film_pictures(found: Windows) -> list[Html]:
    """Frames of the simulator, of the twin, and both over each other: first, middle and last, and all as an animation.

    Of large foams only some of the frames are animated.
    """
    shown = _shown(found)
    definitions = [
        tag("path", id=f"{kind}{frame}", d=outline(foams[frame]))
        for kind, foams in (("exact", found.exact), ("made", found.made))
        for frame in shown
    ]
    hidden = tag("svg", tag("defs", *definitions), width=0, height=0, style="position:absolute", aria_hidden="true")
    columns = tag("div", *(tag("b", title) for title in ("simulator", "twin", "difference")), class_="films")
    rows, places = [], range(len(shown))
    for frame in dict.fromkeys((shown[0], shown[len(shown) // 2], shown[-1])):
        rows.append(tag("div", *(_drawing(_uses(kinds, frame)) for kinds in _PANELS), class_="films"))
        rows.append(tag("p", _told(found, frame), class_="small"))
    moving = [
        _drawing(*(_turn(_uses(kinds, shown[place]), place, len(shown)) for place in places)) for kinds in _PANELS
    ]
    title = tag("p", tag("b", f"{len(shown)} frames, one after the other"))
    return [hidden, columns, *rows, title, tag("div", *moving, class_="films")]


#: Whose films each of the three panels has.
_PANELS: Sequence[tuple[str, ...]] = (("exact",), ("made",), ("exact", "made"))


def outline(foam: Foam) -> str:
    """All films as the data of one SVG path, y upwards, with copies of those that leave the box."""
    topology = foam.topology
    start = foam.vertices[topology.edges[:, 0]] % 1.0
    chord = chords(topology, foam.vertices)
    parts = []
    for (x, y), (dx, dy), angle in zip(start.tolist(), chord.tolist(), foam.half_angles.tolist(), strict=True):
        for i, j in _copies(x, dx, y, dy):
            parts.append(_arc(x + i, y + j, dx, dy, angle))
    return "".join(parts)


def _copies(x: float, dx: float, y: float, dy: float) -> list[tuple[int, int]]:
    """By how many boxes a film is shifted to show every part of it that lies in the box."""
    across, up = (sorted({0, -int(np.floor(z + dz))}) for z, dz in ((x, dx), (y, dy)))
    return [(i, j) for i in across for j in up]


def _arc(x: float, y: float, dx: float, dy: float, angle: float) -> str:
    """A circular arc over a chord; with a positive half-angle it bulges to the right of its way."""
    ends = [round(SIDE * value) for value in (x, 1 - y, x + dx, 1 - y - dy)]
    radius = SIDE * float(np.hypot(dx, dy)) / (2 * max(abs(np.sin(angle)), 1e-9))
    if radius > 50 * SIDE or ends[:2] == ends[2:]:
        return f"M{ends[0]} {ends[1]}L{ends[2]} {ends[3]}"
    large, sweep = int(abs(angle) > np.pi / 2), int(angle < 0)
    return f"M{ends[0]} {ends[1]}A{radius:.0f} {radius:.0f} 0 {large} {sweep} {ends[2]} {ends[3]}"


def _uses(kinds: Sequence[str], frame: int) -> Html:
    colors = {"exact": EXACT, "made": MADE} if len(kinds) > 1 else dict.fromkeys(kinds, "#222")
    lines = [tag("use", href=f"#{kind}{frame}", stroke=colors[kind], style="mix-blend-mode:multiply") for kind in kinds]
    return tag("g", *lines, fill="none", stroke_width=7)


def _turn(picture: Html, place: int, frames: int) -> Html:
    """A picture that is seen in its turn."""
    if frames == 1:
        return picture
    ends = [0.0, place / frames, (place + 1) / frames]
    states = ["hidden", "visible", "hidden"]
    times = ";".join(f"{end:.4f}" for end in (ends if place else ends[1:]))
    values = ";".join(states if place else states[1:])
    change = tag(
        "animate",
        attributeName="visibility",
        calcMode="discrete",
        values=values,
        keyTimes=times,
        dur=f"{SECONDS * frames:g}s",
        repeatCount="indefinite",
    )
    return tag("g", change, picture, visibility="visible" if place == 0 else "hidden")


def _drawing(*parts: Html) -> Html:
    frame = tag("rect", width=SIDE, height=SIDE, fill="none", stroke="#bbb", stroke_width=4)
    return tag("svg", *parts, frame, viewBox=f"0 0 {SIDE} {SIDE}", role="img", style="width:100%")


def _shown(found: Windows) -> list[int]:
    """Numbers of the frames that the page has room for: evenly spread, the first and the last among them."""
    films = np.mean([len(foam.edges) for foam in (*found.exact, *found.made)])
    most = max(3, int(MOST_FILMS / (2 * films)))
    frames = len(found.exact)
    return sorted({round(float(place)) for place in np.linspace(0, frames - 1, min(frames, most))})


def _told(found: Windows, frame: int) -> str:
    exact, made = found.exact[frame], found.made[frame]
    there, ours = (raster(foam, PIXELS) for foam in (exact, made))
    return (
        f"Frame {frame + 1} of {len(found.exact)}: {exact.bubbles} bubbles in the simulator and {made.bubbles} in the "
        f"twin; {float((there != ours).mean()):.0%} of the area lies in another bubble."
    )
