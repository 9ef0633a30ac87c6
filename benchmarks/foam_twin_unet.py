"""A rival for the foam's twin: a U-Net on images that hands labels on, trained by squared error.

Each pixel takes over the label of one of its 3 x 3 neighbours: a softmax over nine offsets, which a small periodic
U-Net (Ronneberger et al., arXiv:1505.04597) makes from where labels are equal and from each bubble's area and sides.
The squared error is that of the soft label (Brier's score); roll-outs take the likeliest label. So no bubble is born,
every pixel keeps holding gas, and nothing else is known of physics.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from theoros.oracles.physics.foam import K0
from theoros.oracles.physics.foam.potts import contacts

OFFSETS = tuple((dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1))
REACH = tuple((dy, dx) for dy in range(-2, 3) for dx in range(-2, 3) if (dy, dx) != (0, 0))
Image = NDArray[np.int32]


@dataclass(frozen=True)
class Movie:
    """Consecutive images of bubbles' names, and the time between them (foam time)."""

    images: tuple[Image, ...]
    interval: float


class UNet(nn.Module):
    """Logits of nine offsets at each pixel."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.down = _block(len(REACH) + 2, width)
        self.deep = _block(width, 2 * width)
        self.up = _block(3 * width, width)
        self.out = nn.Conv2d(width, len(OFFSETS), 1)

    def forward(self, seen: Tensor) -> Tensor:
        """``n x channels x L x L`` to ``n x 9 x L x L``."""
        fine = self.down(seen)
        coarse = self.deep(nn.functional.avg_pool2d(fine, 2))
        back = nn.functional.interpolate(coarse, scale_factor=2)
        logits: Tensor = self.out(self.up(torch.cat([fine, back], dim=1)))
        return logits


def _block(before: int, after: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, padding_mode="circular"),
        nn.SiLU(),
        nn.Conv2d(after, after, 3, padding=1, padding_mode="circular"),
        nn.SiLU(),
    )


def seen_by(image: Image) -> Tensor:
    """What the net sees of an image: where labels 1 or 2 pixels away are equal, and areas and sides on their pixels."""
    equal = [np.roll(image, offset, (0, 1)) == image for offset in REACH]
    names, place, count = np.unique(image, return_inverse=True, return_counts=True)
    area = count / count.mean() - 1
    side = sides_of(image, names) / 2 - 3
    painted = [area[place].reshape(image.shape), side[place].reshape(image.shape)]
    return torch.from_numpy(np.stack([*equal, *painted]).astype(np.float32))


def sides_of(image: Image, names: NDArray[np.int32]) -> NDArray[np.int64]:
    """How many bubbles touch each of `names` in an image."""
    return np.bincount(np.searchsorted(names, contacts(image)).reshape(-1), minlength=len(names))


def train(movies: Sequence[Movie], steps: int, seed: int, batch: int = 4) -> UNet:
    """Train by Adam on pairs of consecutive images."""
    torch.manual_seed(seed)
    net, draws = UNet(), np.random.default_rng(seed)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        pairs = []
        for _ in range(batch):
            movie = movies[int(draws.integers(len(movies)))]
            at = int(draws.integers(len(movie.images) - 1))
            pairs.append(movie.images[at : at + 2])
        chances = torch.softmax(net(torch.stack([seen_by(before) for before, _ in pairs])), dim=1)
        loss = torch.stack([_brier(own, *pair) for own, pair in zip(chances, pairs, strict=True)]).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        decay.step()
    return net.eval()


def _brier(chances: Tensor, before: Image, after: Image) -> Tensor:
    """Squared error of the soft label: sum over labels of (chance - truth)^2, a mean over pixels that can be right."""
    offered = np.stack([np.roll(before, offset, (0, 1)) for offset in OFFSETS])
    right = torch.from_numpy(offered == after)
    same = torch.from_numpy(offered[:, None] == offered[None])
    together = (same * chances[None] * chances[:, None]).sum((0, 1))
    hit = (chances * right).sum(0)
    return (together - 2 * hit + 1)[right.any(0)].mean()


def rolled_out(net: UNet, image: Image, frames: int) -> list[Image]:
    """`frames` images after `image`, the first one included."""
    images = [image]
    with torch.no_grad():
        for _ in range(frames):
            chances = torch.softmax(net(seen_by(images[-1])[None])[0], dim=0).numpy()
            offered = np.stack([np.roll(images[-1], offset, (0, 1)) for offset in OFFSETS])
            same = offered[:, None] == offered[None]
            of_label = (same * chances[None]).sum(1)  # all chances of the label that each offset offers
            best = of_label.argmax(0)
            images.append(np.take_along_axis(offered, best[None], 0)[0])
    return images


def scores(exact: Sequence[Movie], made: Sequence[Sequence[Image]]) -> dict[str, float]:
    """Figures as the twin's, from images alone: gas is pixels, and sides are bubbles that touch."""
    sides, rates, single, ours, theirs = [], [], [], [], []
    shares: list[list[int]] = [[], []]
    for movie, images in zip(exact, made, strict=True):
        for before, after in itertools.pairwise(images):
            names, counts = np.unique(before, return_counts=True)
            n, later = sides_of(before, names), dict(zip(*np.unique(after, return_counts=True), strict=True))
            for name, count, own in zip(names, counts, n, strict=True):
                if name in later:
                    sides.append(own)
                    rates.append((float(later[name]) - count) / before.size / movie.interval / K0)
        theirs.append([1 / len(np.unique(image)) for image in movie.images])
        ours.append([1 / len(np.unique(image)) for image in images])
        single.append(np.array(ours[-1]) / np.array(theirs[-1]) - 1)
        for which, frames in enumerate((movie.images, images)):
            for image in frames[len(frames) // 2 :]:
                shares[which] += sides_of(image, np.unique(image)).tolist()
    slope, offset = np.polyfit(sides, rates, 1)
    p, q = (np.bincount(np.minimum(own, 14), minlength=15) / len(own) for own in shares)
    together = np.mean(ours, axis=0) / np.mean(theirs, axis=0) - 1
    return {
        "gas_drift": 0.0,
        "slope": float(slope),
        "intercept": float(-offset / slope),
        "law_residual": float(np.std(np.array(rates) - slope * np.array(sides) - offset)),
        "side_distance": 0.5 * float(np.abs(p - q).sum()),
        "growth_single": float(np.sqrt(np.mean(np.concatenate(single) ** 2))),
        "growth_together": float(np.sqrt(np.mean(together**2))),
        "strangers": float(sum(pieces(images[-1]) for images in made)),
    }


def pieces(image: Image) -> int:
    """How many pieces bubbles are in beyond one each: what has split."""
    from scipy.ndimage import label

    more = 0
    for name in np.unique(image):
        marked, count = label(image == name)
        joined = {
            frozenset((a, b))
            for axis in (0, 1)
            for a, b in _across(marked.astype(np.int32), axis)
            if a and b and a != b
        }
        more += max(0, count - len(joined) - 1)
    return more


def _across(marked: NDArray[np.int32], axis: int) -> list[tuple[int, int]]:
    """Pairs of marks that touch over the box's border."""
    first, last = np.take(marked, 0, axis), np.take(marked, -1, axis)
    return list(zip(first.tolist(), last.tolist(), strict=True))
