"""The error of a campaign file: which file, which field, what is wrong and the mend, in one message."""

from __future__ import annotations

from collections.abc import Sequence


class SpecError(ValueError):
    """Something is wrong with a campaign's specification.

    `field` is the path within the file, for example ``("oracle", "pyscf", "fidelities", 0, "basis")``.
    """

    def __init__(self, message: str, field: Sequence[str | int] = (), file: str = "") -> None:
        super().__init__(message)
        self.message, self.field, self.file = message, tuple(field), file

    def __str__(self) -> str:
        path = ".".join(str(part) for part in self.field)
        return ": ".join(part for part in (self.file, path, self.message) if part)
