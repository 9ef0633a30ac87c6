"""An oracle that fails at each candidate once, and then answers."""

from __future__ import annotations

from pathlib import Path
from wave import Wave

from theoros.oracles import Answer, Candidate
from theoros.oracles.failures import NotConverged


class Fickle(Wave):
    """Remembers in `folder` what it was asked."""

    name = "fickle"

    def __init__(self, *, folder: str, seconds: float = 0.1) -> None:
        super().__init__(seconds=seconds)
        self.folder = Path(folder)

    def evaluate(self, candidate: Candidate, fidelity: str) -> Answer:
        """Raise NotConverged the first time."""
        mark = self.folder / f"{candidate.hash}.asked"
        if not mark.exists():
            mark.touch()
            raise NotConverged("try again")
        return super().evaluate(candidate, fidelity)
