"""A user's own oracle whose answer has an array: the displacement of a damped oscillator, measured with noise."""

import numpy as np

from theoros.oracles.contract import Quantity
from theoros.oracles.decorate import oracle
from theoros.oracles.spaces import Parameters, Real

#: Times of the measurement in seconds, and the noise of the displacement in millimetres.
TIMES, NOISE = np.linspace(0, 4, 64), 0.02


@oracle(
    space=Parameters(damping=Real(0.1, 1.0), stiffness=Real(4.0, 16.0)),
    outputs={"period": "s", "displacement": Quantity("mm", (64,)), "strobe": Quantity("mm", ("flashes",))},
    deterministic=False,
)
def oscillator(damping, stiffness, rng):
    """A unit mass that is let go at 1 mm."""
    rate = np.sqrt(stiffness - damping**2 / 4)
    exact = np.exp(-damping * TIMES / 2) * (np.cos(rate * TIMES) + damping / (2 * rate) * np.sin(rate * TIMES))
    return {
        "period": 2 * np.pi / rate + 0.01 * rng.normal(),
        "displacement": exact + NOISE * rng.normal(size=64),
        "strobe": exact[:: int(rng.integers(8, 10))],
    }
