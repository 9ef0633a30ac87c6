"""A foam's window as its twin rolled it out: what is kept of it, and what has to hold."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from theoros.models.twins.foam_scores import Rollout
from theoros.models.twins.unseen_behaviour import RolledOut
from theoros.oracles.physics.foam.films import films_of


def window_rolled_out(window: Rollout, broken: Mapping[str, float]) -> RolledOut:
    """The window's films, as the oracle ``foam`` gives them, its gas, and by how much laws are `broken`."""
    gas = np.array([frame.areas.sum() for frame in window.frames])
    return RolledOut({"films": films_of(window.frames)}, {"gas": gas}, broken)
