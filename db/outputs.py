"""A label's outputs as they are read: small ones at once, large ones when somebody looks at them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class StoredArray:
    """An array in the artifact store `url`, by its digest: light enough to be sent to a process that reads it."""

    url: str
    digest: str
    shape: tuple[int, ...]

    def read(self) -> NDArray[np.float64]:
        """The array, checked against its digest. Raises ArtifactNotFound or ArtifactCorrupt."""
        from theoros.db.artifacts import ArtifactStore  # records are imported where no SQLAlchemy is

        return ArtifactStore(self.url).get_array(self.digest)


@dataclass(frozen=True)
class HeldArray:
    """An array that was small enough to be a row of the database."""

    value: NDArray[np.float64]

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return self.value.shape

    def read(self) -> NDArray[np.float64]:
        """The array."""
        return self.value


class Outputs(Mapping[str, NDArray[np.float64]]):
    """The outputs of one label by name. What lies in the artifact store is read when it is asked for, and not kept."""

    def __init__(self, arrays: Mapping[str, HeldArray | StoredArray]) -> None:
        self.arrays = dict(arrays)

    def __getitem__(self, output: str) -> NDArray[np.float64]:
        return self.arrays[output].read()

    def __contains__(self, output: object) -> bool:
        return output in self.arrays

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)

    def __repr__(self) -> str:
        return f"Outputs({', '.join(f'{name}: {array.shape}' for name, array in self.arrays.items())})"
