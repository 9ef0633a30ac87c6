"""A twin whose members are normal distributions that are known exactly, for the tests of what reads twins."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from theoros.models.data import Prediction


@dataclass(frozen=True)
class ExactTwin:
    """Answers y and z of the unit square (x, y) with normal noise: ``y = x + offset``, ``z = y - offset`` by the member
    with that offset, and without it where x is below `quiet`.
    """

    offsets: tuple[float, ...]
    noise: float = 0.1
    quiet: float = 0.0
    outputs: tuple[str, ...] = ("y", "z")

    name = "exact_twin"
    n_labels = 0
    fell_back = False
    message = ""

    @property
    def members(self):
        return len(self.offsets)

    def means(self, points):
        """``members x p x m``."""
        x = np.array([[p.candidate.data["x"], p.candidate.data["y"]] for p in points]).reshape(-1, 2)
        gap = (x[:, 0] >= self.quiet).astype(float)
        return np.array([np.stack([x[:, 0] + o * gap, x[:, 1] - o * gap], axis=-1) for o in self.offsets])[
            ..., : len(self.outputs)
        ]

    def sample(self, points, n, *, seed):
        means = self.means(points)
        draws = np.empty((len(self.offsets), n, *means.shape[1:]))
        for i, point in enumerate(points):  # the same draws at a point, whichever others are asked beside it
            rng = np.random.default_rng([seed, int(point.candidate.hash[:8], 16)])
            draws[:, :, i] = rng.normal(size=(len(self.offsets), n, means.shape[2]))
        return means[:, None] + self.noise * draws

    def answers(self, points, rng):
        """One answer of the process (the first member) at each point, ``p x m``."""
        return self.means(points)[0] + self.noise * rng.normal(size=(len(points), len(self.outputs)))

    def predict(self, points):
        means = self.means(points)
        return Prediction(self.outputs, means.mean(0), means.std(0), np.full(means.shape[1:], self.noise))

    def log_prob(self, points, values):
        return norm.logpdf(values, self.means(points), self.noise).sum(-1)

    def hyperparameters(self):
        return {}
