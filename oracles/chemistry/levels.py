"""What a user writes about a quantum-chemical ladder: levels of theory and where geometries come from."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from theoros.oracles.chemistry import names
from theoros.oracles.resources import Resources

XTB_METHODS = ("gfn1", "gfn2")
CORRELATED_METHODS = ("mp2", "ccsd", "ccsd(t)")


def _lower(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


class Level(BaseModel):
    """One level of theory.

    `method` is ``gfn1`` or ``gfn2`` (GFN-xTB, by tblite), ``hf``, ``mp2``, ``ccsd``, ``ccsd(t)``, or any density
    functional that PySCF reads (``pbe``, ``b3lyp``, ...). All but GFN-xTB need a `basis`. Energies are of all
    electrons: nothing is frozen.

    `conv_tol` is the energy change (hartree) at which the SCF has converged; `grid_level` is PySCF's integration grid
    (0 coarse .. 9); `density_fit` approximates the two-electron integrals, which is fast and changes energies by about
    0.1 meV per atom; `response_tol` is the relative error at which a polarizability has converged. `dispersion` is
    ``d3bj``, ``d3zero`` or ``d4`` (needs pyscf-dispersion). `optimize_geometry` relaxes the molecule before anything
    else: ``true`` at this level, or the name of another level of the ladder. `cost` is relative to the last level's;
    without it the cost is estimated. `max_cycle` limits the SCF (per try) and changes no converged answer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    method: Annotated[str, BeforeValidator(_lower)]
    basis: Annotated[str, BeforeValidator(_lower)] | None = None
    density_fit: bool = False
    grid_level: int = Field(default=2, ge=0, le=9)
    conv_tol: float = Field(default=1e-9, gt=0, le=1e-3)
    response_tol: float = Field(default=1e-4, gt=0, le=0.1)
    dispersion: Literal["d3bj", "d3zero", "d4"] | None = None
    optimize_geometry: bool | str = False
    max_cycle: int = Field(default=100, ge=1)
    cost: float | None = Field(default=None, gt=0)
    description: str = ""

    @model_validator(mode="before")
    @classmethod
    def _named_by_method(cls, data: Any) -> Any:
        if isinstance(data, dict) and "method" in data and "name" not in data:
            return {**data, "name": str(data["method"])}
        return data

    @model_validator(mode="after")
    def _consistent(self) -> Level:
        if self.is_xtb and (self.basis or self.density_fit or self.dispersion):
            raise ValueError(f"{self.method} has its own basis and dispersion; remove basis, density_fit, dispersion")
        if not self.is_xtb and self.basis is None:
            raise ValueError(f"{self.method!r} needs a basis; add for example basis: def2-svp")
        if self.dispersion and self.is_correlated:
            raise ValueError(f"{self.method} includes dispersion; remove dispersion: {self.dispersion}")
        return self

    @property
    def is_xtb(self) -> bool:
        """True for the tight-binding methods that tblite runs."""
        return self.method in XTB_METHODS

    @property
    def is_correlated(self) -> bool:
        """True for the methods that add correlation to Hartree-Fock by wave functions."""
        return self.method in CORRELATED_METHODS

    @property
    def is_dft(self) -> bool:
        """True when `method` is a density functional."""
        return not (self.is_xtb or self.is_correlated or self.method == "hf")

    @property
    def label(self) -> str:
        """What a person calls the level: ``B3LYP-D3BJ/def2-svp``, ``GFN2-xTB``."""
        if self.is_xtb:
            return f"{self.method.upper()}-xTB"
        dispersion = f"-{self.dispersion.upper()}" if self.dispersion else ""
        return f"{'DF-' if self.density_fit else ''}{self.method.upper()}{dispersion}/{self.basis}"

    def theory(self) -> dict[str, Any]:
        """The settings that change an answer at a given geometry, as JSON data."""
        if self.is_xtb:
            return {"method": self.method}
        data: dict[str, Any] = {
            "method": self.method,
            "basis": self.basis,
            "density_fit": self.density_fit,
            "conv_tol": self.conv_tol,
            "response_tol": self.response_tol,
        }
        if self.is_dft:
            data["grid_level"] = self.grid_level
        if self.dispersion:
            data["dispersion"] = self.dispersion
        return data

    def check_basis(self) -> None:
        """Raise ValueError, with close matches, for a basis that PySCF doesn't have."""
        if self.basis is not None:
            names.check_basis(self.basis)

    def check_method(self) -> None:
        """Raise ValueError, with close matches, for a functional that PySCF doesn't have."""
        if self.is_dft:
            names.check_xc(self.method)


class GeometryOptions(BaseModel):
    """Where coordinates come from.

    A molecule (SMILES) is embedded by RDKit: `conformers` ETKDGv3 trials from `seed`, each minimised by MMFF94 (UFF
    where it has no parameters), lowest energy wins. `optimize` is ``mmff`` (the default: just that), ``none`` (not even
    minimised), or ``oracle`` (then relaxed at each level itself).

    With `template`, candidates are parameters: z-matrix or xyz text in angstrom and degrees, whose placeholders
    ``{r}`` are the parameters' names. Only `optimize` ``none`` makes sense for it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    template: str | None = None
    conformers: int = Field(default=3, ge=1, le=100)
    optimize: Literal["none", "mmff", "oracle"] | None = None
    seed: int = Field(default=7, ge=0)

    @model_validator(mode="after")
    def _template_is_taken_as_it_is(self) -> GeometryOptions:
        if self.template is not None and self.optimize not in (None, "none"):
            raise ValueError("a template gives the geometry itself, so it can't be optimised; remove optimize")
        return self

    @property
    def force_field(self) -> bool:
        """True when embedded molecules are minimised by a force field."""
        return self.template is None and self.optimize != "none"

    def protocol(self) -> dict[str, Any]:
        """The settings that change coordinates, as JSON data."""
        if self.template is not None:
            return {"template": "\n".join(line.strip() for line in self.template.strip().splitlines())}
        return {"conformers": self.conformers, "force_field": self.force_field, "seed": self.seed}


class ChemistryOptions(BaseModel):
    """The options of a quantum-chemical oracle, as a campaign file gives them.

    `charge` is the total charge; without it a molecule has its SMILES' own formal charge and a template none. `spin` is
    the number of unpaired electrons (2S).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fidelities: Annotated[tuple[Level, ...], Field(min_length=1)]
    outputs: Annotated[tuple[str, ...], Field(min_length=1)] = ("energy",)
    geometry: GeometryOptions = GeometryOptions()
    charge: int | None = None
    spin: int = Field(default=0, ge=0)
    resources: Resources = Resources()

    @model_validator(mode="after")
    def _names_are_distinct(self) -> ChemistryOptions:
        known = [level.name for level in self.fidelities]
        if len(set(known)) < len(known):
            raise ValueError(f"two fidelities share a name: {known}; give each its own")
        for level in self.fidelities:
            if isinstance(level.optimize_geometry, str) and level.optimize_geometry not in known:
                raise ValueError(
                    f"fidelity {level.name!r} takes its geometry from {level.optimize_geometry!r}, which there isn't; "
                    f"there are {known}"
                )
        return self

    def relaxing_level(self, level: Level) -> Level | None:
        """The level at which geometries for `level` are relaxed; None where they are taken as they come."""
        if isinstance(level.optimize_geometry, str):
            return next(other for other in self.fidelities if other.name == level.optimize_geometry)
        if level.optimize_geometry or self.geometry.optimize == "oracle":
            return level
        return None

    def settings(self, level: Level) -> dict[str, Any]:
        """Everything that changes `level`'s answers, as JSON data: theory, geometry protocol, charge and spin."""
        relaxing = self.relaxing_level(level)
        return {
            **level.theory(),
            "geometry": self.geometry.protocol() | ({"relaxed_at": relaxing.theory()} if relaxing else {}),
            "charge": self.charge,
            "spin": self.spin,
        }
