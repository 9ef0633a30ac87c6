"""Implicit solvents: what a user writes of one, and the dielectric constants of those with a name.

PySCF's levels use the conductor-like model C-PCM (Barone and Cossi, doi:10.1021/jp9716997) on a smooth cavity (Lange
and Herbert, doi:10.1063/1.3511297). GFN-xTB uses ALPB (Ehlert et al., doi:10.1021/acs.jctc.1c00471) in a solvent with a
name, for which it has parameters of its own, and ddCOSMO (Cances, Maday and Stamm, doi:10.1063/1.4816767) in one that
is only a dielectric constant.
"""

from __future__ import annotations

import difflib
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

#: Static dielectric constant and refractive index at 20 degrees, of the Minnesota Solvent Descriptor Database.
SOLVENTS: dict[str, tuple[float, float]] = {
    "acetone": (20.493, 1.3588),
    "acetonitrile": (35.688, 1.3442),
    "benzene": (2.2706, 1.5011),
    "chloroform": (4.7113, 1.4459),
    "dichloromethane": (8.93, 1.4242),
    "diethylether": (4.24, 1.3526),
    "dmf": (37.219, 1.4305),
    "dmso": (46.826, 1.4783),
    "ethanol": (24.852, 1.3611),
    "hexane": (1.8819, 1.3749),
    "methanol": (32.613, 1.3288),
    "nitromethane": (36.562, 1.3817),
    "thf": (7.4257, 1.405),
    "toluene": (2.3741, 1.4961),
    "water": (78.355, 1.3328),
}


class Solvent(BaseModel):
    """A solvent by its name, or ``{dielectric: 10.0}``.

    `dielectric` is the static dielectric constant. Of `refractive_index` the square is the dielectric constant of the
    electrons alone, which vertical excitations need: the molecules have no time to turn.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str | None = None
    dielectric: float = Field(gt=1)
    refractive_index: float | None = Field(default=None, gt=1)

    @model_validator(mode="before")
    @classmethod
    def _looked_up(cls, data: Any) -> Any:
        if not isinstance(data, str):
            return data
        name = data.strip().lower()
        if name not in SOLVENTS:
            close = difflib.get_close_matches(name, SOLVENTS, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"There are {', '.join(SOLVENTS)}."
            raise ValueError(
                f"no solvent is called {data!r}. {hint} Or give its dielectric constant: {{dielectric: 10}}"
            )
        dielectric, refractive_index = SOLVENTS[name]
        return {"name": name, "dielectric": dielectric, "refractive_index": refractive_index}

    @model_validator(mode="after")
    def _electrons_are_part(self) -> Solvent:
        if self.refractive_index and self.refractive_index**2 > self.dielectric * 1.01:
            raise ValueError(
                f"the square of refractive_index {self.refractive_index} is above the dielectric constant "
                f"{self.dielectric}, of which it is a part"
            )
        return self

    @property
    def label(self) -> str:
        """What a person calls it: ``water``, ``dielectric 10``."""
        return self.name or f"dielectric {self.dielectric:g}"

    def theory(self) -> dict[str, Any]:
        """What changes an answer, as JSON data."""
        return {k: v for k, v in self.model_dump().items() if v is not None}
