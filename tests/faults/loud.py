"""An oracle whose every answer needs new room in the database: it prints a lot."""

from __future__ import annotations

from wave import Wave

from theoros.oracles import Answer, Candidate


class Loud(Wave):
    """Prints 12 kB an evaluation, which its attempt keeps."""

    name = "loud"

    def evaluate(self, candidate: Candidate, fidelity: str) -> Answer:
        """Print, and answer."""
        print(12_000 * "x")
        return super().evaluate(candidate, fidelity)
