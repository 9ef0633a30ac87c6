"""Whether the molecules of a file lie in the space that is to begin with them."""

from __future__ import annotations

import logging
import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from theoros.oracles.failures import InvalidCandidate
from theoros.oracles.spaces import table
from theoros.oracles.spaces.errors import SpaceError
from theoros.oracles.spaces.molecules import Molecules
from theoros.oracles.spaces.starting_molecules import SMILES, path_of

#: Lines of a file that are tried at most (0.3 ms each); of a longer file they are spread over it, as files are sorted.
MOST_TRIED = 1000
#: A smaller share of fitting lines than this is told: every one that fits costs the reading of a hundred.
FEW = 0.01
#: Kinds of reason that a message lists.
_LISTED = 4
_SIZE = re.compile(r"it has (\d+) heavy atoms")
_WRONG_SIZE = "it has too few or too many heavy atoms"
_UNREADABLE = "it is no SMILES that can be read"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fit:
    """Of `lines` in a file, `tried` were held against a space, and `fitting` lie in it.

    `reasons` are the kinds of reason why the others don't, with how many each: the most frequent first. `sizes` are
    the fewest and the most heavy atoms of those of another size than the space's.
    """

    lines: int
    tried: int
    fitting: int
    reasons: tuple[tuple[str, int], ...]
    sizes: tuple[int, int] | None

    @property
    def where(self) -> str:
        """Which lines were tried, in words."""
        if self.tried < self.lines:
            return f"{self.tried:,} lines spread over the {self.lines:,} of"
        return f"the {self.lines:,} line{'s' if self.lines > 1 else ''} of"

    @property
    def why(self) -> str:
        """The reasons, in words."""
        listed = [f"{count:,} ({reason})" for reason, count in self.reasons[:_LISTED]]
        rest = sum(count for _, count in self.reasons[_LISTED:])
        return ", ".join([*listed, f"{rest:,} (other reasons)"] if rest else listed)

    @property
    def mend(self) -> str:
        """What to change: about the most frequent reason."""
        first = self.reasons[0][0]
        if self.sizes is not None and first.startswith(_WRONG_SIZE):
            low, high = self.sizes
            return f"Set heavy_atoms to what the file holds (those are of {low}..{high}), or name another file."
        if first == _UNREADABLE:
            return "Begin each line with a SMILES, or give the file a column 'smiles'."
        return "Widen the space, or name another file."


def check_fit(space: Molecules) -> None:
    """Raise SpaceError when (of a long file, as far as a thousand lines tell) no line of `space.file` is in the space.

    Where hardly any is, a warning says so: then it takes long to find the first molecules.
    """
    if space.file is None:
        return
    path = path_of(space.file)
    fit = _fit(space, table.file_state(path))
    name = Path(path).name
    if fit.lines == 0:
        raise SpaceError(("molecules", "file"), f"{path} holds no molecules. Write one SMILES a line.")
    if fit.fitting == 0:
        raise SpaceError(
            ("molecules", "file"),
            f"of {fit.where} {name} none is a molecule of the space. Turned away were {fit.why}. {fit.mend}",
        )
    if fit.fitting < FEW * fit.tried:
        logger.warning(
            "space.molecules.file: few molecules of the space are in the file, %d of %s %s, so that drawing them takes "
            "long. Turned away were %s. %s",
            fit.fitting,
            fit.where,
            name,
            fit.why,
            fit.mend,
        )


@lru_cache(maxsize=8)
def _fit(space: Molecules, state: table.FileState) -> Fit:
    lines, tried = _spread(state)
    reasons: Counter[str] = Counter()
    sizes: list[int] = []
    for line in tried:
        try:
            space.candidate(line)
        except InvalidCandidate as error:
            reason = str(error).partition(" is not in the space: ")[2] or _UNREADABLE
            if size := _SIZE.match(reason):
                sizes.append(int(size[1]))
                reason = _SIZE.sub(_WRONG_SIZE, reason)
            reasons[reason] += 1
    return Fit(
        lines,
        len(tried),
        len(tried) - reasons.total(),
        tuple(reasons.most_common()),
        (min(sizes), max(sizes)) if sizes else None,
    )


def _spread(state: table.FileState) -> tuple[int, list[str]]:
    """How many SMILES a file has, and up to `MOST_TRIED` at equal distances, found in one pass without holding all."""
    kept: list[str] = []
    step, count = 1, 0
    for batch in table.read_batches(state.path, (SMILES,)):
        for text in batch.column(SMILES).to_pylist():
            if not text:
                continue
            if count % step == 0:
                kept.append(text)
                if len(kept) > MOST_TRIED:
                    kept, step = kept[::2], 2 * step
            count += 1
    return count, kept
