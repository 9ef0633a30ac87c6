"""The misbehaving oracle of the sandbox's tests, over the misbehaviours that a campaign meets."""

from __future__ import annotations

from naughty import Naughty

from theoros.oracles import Categorical, Parameters

#: What an evaluation does, and the class of failure that its evaluation ends with; None for a label.
BEHAVIOURS = {
    "answer": None,
    "print": None,
    "disk_full": None,
    "hungry": None,
    "nan": "bad_answer",
    "missing": "bad_answer",
    "extra": "bad_answer",
    "shape": "bad_answer",
    "huge": "bad_answer",
    "not_converged": "not_converged",
    "raise": "oracle_error",
    "hang_in_c": "timeout",
    "fork": "timeout",
    "escape": "timeout",
    "eat_memory": "memory",
    "kill_itself": "poison",
    "segfault": "poison",
    "exit": "poison",
}


class Mischief(Naughty):
    """One candidate for each misbehaviour."""

    name = "mischief"
    space = Parameters(behaviour=Categorical(*BEHAVIOURS))
