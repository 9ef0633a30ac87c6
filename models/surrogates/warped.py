"""A Gaussian process for functions that change faster in one part of a parameter's range than in another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from theoros.models.embedding import Places
from theoros.models.encoders import Encoder
from theoros.models.surrogates.gaussian_process import GaussianProcess


@dataclass(frozen=True)
class WarpedGaussianProcess(GaussianProcess):
    """``gp`` with a warp of each continuous parameter, for functions that change faster in one part of its range.

    The warps' concentrations are at their posterior mode together with all other hyperparameters. Over several
    fidelities, or above the number of labels that ``gp`` treats in closed form, it is that model.
    """

    name: ClassVar[str] = "warped_gp"

    def _bent(self, encoder: Encoder) -> tuple[int, ...]:
        known = enumerate(getattr(encoder, "columns", ()))
        columns = tuple(i for i, column in known if column.kind == "continuous" and not column.places)
        places: Places | None = getattr(encoder, "places", None)
        return columns if places is None else places.kept(columns)
