from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from theoros.oracles import Resources
from theoros.oracles.reference import OracleReference
from theoros.workers.messages import EvaluationRequest
from theoros.workers.sandbox import Sandbox

REFERENCE = OracleReference("naughty:Naughty", search_path=str(Path(__file__).parent))


def request(behaviour: str, token: str = "t1", note: str = "") -> EvaluationRequest:
    return EvaluationRequest(token, "parameters", {"behaviour": behaviour, "note": note}, "only")


@pytest.fixture
def make_sandbox(tmp_path: Path) -> Iterator[Callable[..., Sandbox]]:
    made: list[Sandbox] = []

    def make(**resources: object) -> Sandbox:
        made.append(Sandbox(REFERENCE.to_dict(), Resources(**({"timeout": 20} | resources)), tmp_path / "spool"))
        return made[-1]

    yield make
    for sandbox in made:
        sandbox.kill()
