"""The error of a design space that can't be built."""

from __future__ import annotations

#: Where in a specification something stands: ``("parameters", "r", "real")``.
FieldPath = tuple[str | int, ...]


def dotted(field: FieldPath) -> str:
    """``("constraints", 0)`` as a person reads it: ``constraints[0]``."""
    text = ""
    for part in field:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


class SpaceError(ValueError):
    """A design space is declared wrongly.

    `field` is the path within the space; `message` says what, why and the mend.
    """

    def __init__(self, field: FieldPath, message: str) -> None:
        self.field = field
        self.message = message
        super().__init__(f"{dotted(field)}: {message}" if field else message)

    def under(self, *prefix: str | int) -> SpaceError:
        """The same error with its path set below `prefix`."""
        return SpaceError((*prefix, *self.field), self.message)

    def __reduce__(self) -> tuple[type[SpaceError], tuple[FieldPath, str]]:
        """Pickle by field and message, so that the error crosses process boundaries."""
        return SpaceError, (self.field, self.message)
