"""What a user writes about a quantum-chemical ladder: levels of theory and where geometries come from."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from theoros.oracles.chemistry import names
from theoros.oracles.chemistry.double_hybrids import DoubleHybrid, double_hybrid
from theoros.oracles.chemistry.reactions import Reaction
from theoros.oracles.chemistry.solvents import Solvent
from theoros.oracles.resources import Resources

XTB_METHODS = ("gfn1", "gfn2")
CORRELATED_METHODS = ("mp2", "ccsd", "ccsd(t)")


def _lower(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


class Level(BaseModel):
    """One level of theory.

    `method` is ``gfn1`` or ``gfn2`` (GFN-xTB, by tblite), ``hf``, ``mp2``, ``ccsd``, ``ccsd(t)``, or any density
    functional that PySCF reads (``pbe``, ``b3lyp``, ...), or a double hybrid (`double_hybrids.DOUBLE_HYBRIDS`). All but
    GFN-xTB need a `basis`. Energies are of all electrons: nothing is frozen.

    `conv_tol` is the energy change (hartree) at which the SCF has converged; `grid_level` is PySCF's integration grid
    (0 coarse .. 9); `density_fit` approximates the two-electron integrals, which is fast and changes energies by a few
    tenths of a meV per atom (CCSD's by a few meV); `response_tol` is the relative error at which a polarizability has
    converged. `dispersion` is ``d3bj``, ``d3zero`` or ``d4`` (needs pyscf-dispersion). `solvent` puts the
    molecule into an implicit one: a name of `solvents.SOLVENTS`, or ``{dielectric: 10}``; correlation feels it through
    the orbitals alone. `cavity_points` are the points around each atom on the surface of PySCF's solvents.
    `optimize_geometry` relaxes the molecule before anything else: ``true`` at this level, or the name of another level
    of the ladder. `cost` is relative to the last level's;
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
    solvent: Solvent | None = None
    cavity_points: Literal[50, 110, 194, 302, 590] = 302
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
        if self.dispersion and self.double_hybrid:
            raise ValueError(f"PySCF has no dispersion for the double hybrid {self.method}; remove dispersion")
        if self.dispersion and self.is_correlated:
            raise ValueError(f"{self.method} includes dispersion; remove dispersion: {self.dispersion}")
        return self

    @property
    def is_xtb(self) -> bool:
        """True for the tight-binding methods that tblite runs."""
        return self.method in XTB_METHODS

    @property
    def is_correlated(self) -> bool:
        """True for the methods that add correlation to a mean field by wave functions: double hybrids too."""
        return self.method in CORRELATED_METHODS or self.double_hybrid is not None

    @property
    def is_dft(self) -> bool:
        """True when `method` is a density functional: double hybrids too."""
        return not (self.is_xtb or self.method in (*CORRELATED_METHODS, "hf"))

    @property
    def double_hybrid(self) -> DoubleHybrid | None:
        """The double hybrid that `method` names, if it does."""
        return double_hybrid(self.method)

    @property
    def functional(self) -> str:
        """What PySCF is to solve self-consistently: ``hf``, or a functional (of a double hybrid the hybrid part)."""
        if not self.is_dft:
            return "hf"
        return self.double_hybrid.functional if self.double_hybrid else self.method

    @property
    def label(self) -> str:
        """What a person calls the level: ``B3LYP-D3BJ/def2-svp``, ``GFN2-xTB``."""
        medium = f" in {self.solvent.label}" if self.solvent else ""
        if self.is_xtb:
            return f"{self.method.upper()}-xTB{medium}"
        dispersion = f"-{self.dispersion.upper()}" if self.dispersion else ""
        return f"{'DF-' if self.density_fit else ''}{self.method.upper()}{dispersion}/{self.basis}{medium}"

    def theory(self) -> dict[str, Any]:
        """The settings that change an answer at a given geometry, as JSON data."""
        medium: dict[str, Any] = {"solvent": self.solvent.theory()} if self.solvent else {}
        if self.is_xtb:
            return {"method": self.method, **medium}
        if self.solvent:
            medium["cavity_points"] = self.cavity_points
        data: dict[str, Any] = {
            "method": self.method,
            "basis": self.basis,
            "density_fit": self.density_fit,
            "conv_tol": self.conv_tol,
            "response_tol": self.response_tol,
            **medium,
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
        if self.is_dft and not self.double_hybrid:
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


class Ensemble(BaseModel):
    """Conformers instead of one conformer: every output becomes its mean over them at `temperature` (kelvin).

    `conformers` ETKDGv3 trials are minimised by the force field and relaxed as the single one would be, and of those
    which end in the same minimum one is kept. The weights are Boltzmann's, of the energies at the level that relaxed
    them (without one, at the answering level). Those with the least weight, 1 % together, are not asked.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    conformers: int = Field(default=20, ge=2, le=200)
    temperature: float = Field(default=298.15, gt=0)


class OracleGeometry(GeometryOptions):
    """`GeometryOptions`, and what is done with a molecule that is relaxed at a level or has several conformers.

    With `keep_bonds` a molecule whose bonds have changed by relaxation fails as `bonds.Rearranged`.
    """

    ensemble: Ensemble | None = None
    keep_bonds: bool = True

    @model_validator(mode="after")
    def _ensemble_is_of_molecules(self) -> OracleGeometry:
        if self.ensemble and not self.force_field:
            raise ValueError(
                "an ensemble is of molecules minimised by a force field; remove template or optimize: none"
            )
        return self

    def protocol(self) -> dict[str, Any]:
        """The settings that change coordinates, as JSON data."""
        if self.ensemble is None:
            return super().protocol()
        return super().protocol() | {"conformers": 0, "ensemble": self.ensemble.model_dump()}


class ChemistryOptions(BaseModel):
    """The options of a quantum-chemical oracle, as a campaign file gives them.

    `charge` is the total charge; without it a molecule has its SMILES' own formal charge and a template none. `spin` is
    the number of unpaired electrons (2S). `reaction` is the one of the output `reaction_energy`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fidelities: Annotated[tuple[Level, ...], Field(min_length=1)]
    outputs: Annotated[tuple[str, ...], Field(min_length=1)] = ("energy",)
    geometry: OracleGeometry = OracleGeometry()
    reaction: Reaction | None = None
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
        geometry = self.geometry.protocol()
        if relaxing := self.relaxing_level(level):
            geometry["relaxed_at"] = relaxing.theory()
            if self.geometry.template is None:
                geometry["keep_bonds"] = self.geometry.keep_bonds
        return {
            **level.theory(),
            **({"reaction": self.reaction.theory()} if self.reaction else {}),
            "geometry": geometry,
            "charge": self.charge,
            "spin": self.spin,
        }
