"""The names of surrogates, acquisitions and proposers, and which of them go together.

This module imports no implementation: a campaign's specification is checked with it long before torch is needed.
"""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Mapping
from typing import Any, cast

from theoros.models.contract import Acquisition, Proposer, Surrogate
from theoros.models.data import Problem
from theoros.models.options import load
from theoros.models.registry_entries import AcquisitionEntry, ProposerEntry, SurrogateEntry

_GP = "theoros.models.surrogates.gaussian_process"
_SURROGATES = "theoros.models.surrogates"
_ACQUISITION = "theoros.models.acquisition"
_PROPOSERS = "theoros.models.proposers"
_TWINS = "theoros.models.twins"
_PARAMETERS, _MOLECULE = frozenset({"parameters"}), frozenset({"molecule"})
_BOTH_KINDS = _PARAMETERS | _MOLECULE
_MOMENTS = frozenset({"mean", "variance"})
_GAUSSIAN = frozenset({"mean", "variance", "samples", "posterior", "gradient"})
_GENERATIVE = frozenset({"mean", "variance", "samples", "generative", "left_out"})
_POSTERIOR, _OPTIMIZE, _LEARN = frozenset({"posterior"}), frozenset({"optimize"}), frozenset({"learn"})
_ONE, _PARETO = frozenset({"optimize", "match"}), frozenset({"pareto"})
_DESIRABILITY = frozenset({"desirability"})

SURROGATES: Mapping[str, SurrogateEntry] = {
    "gp": SurrogateEntry(
        f"{_GP}:GaussianProcess", frozenset({"mean", "variance", "samples", "posterior", "gradient"}), _PARAMETERS
    ),
    "transfer_gp": SurrogateEntry(f"{_SURROGATES}.transfer:TransferGaussianProcess", _GAUSSIAN, _PARAMETERS),
    "saas_gp": SurrogateEntry(f"{_SURROGATES}.saas:SparseGaussianProcess", _GAUSSIAN, _PARAMETERS),
    "warped_gp": SurrogateEntry(f"{_SURROGATES}.warped:WarpedGaussianProcess", _GAUSSIAN, _PARAMETERS),
    "heteroskedastic_gp": SurrogateEntry(
        f"{_SURROGATES}.heteroskedastic:HeteroskedasticGaussianProcess", _GAUSSIAN, _PARAMETERS
    ),
    "saas_nuts": SurrogateEntry(
        f"{_SURROGATES}.saas_nuts:SparseMixture",
        frozenset({"mean", "variance", "samples"}),
        _PARAMETERS,
        ("pyro", "nuts"),
    ),
    "variational_gp": SurrogateEntry(f"{_SURROGATES}.variational:VariationalGaussianProcess", _GAUSSIAN, _PARAMETERS),
    "tanimoto_gp": SurrogateEntry(
        f"{_GP}:TanimotoGaussianProcess", frozenset({"mean", "variance", "samples", "posterior"}), _MOLECULE
    ),
    "graph_gp": SurrogateEntry(
        f"{_GP}:GraphGaussianProcess", frozenset({"mean", "variance", "samples", "posterior"}), _MOLECULE
    ),
    "string_gp": SurrogateEntry(
        f"{_GP}:StringGaussianProcess", frozenset({"mean", "variance", "samples", "posterior"}), _MOLECULE
    ),
    "random_forest": SurrogateEntry(
        "theoros.models.surrogates.random_forest:RandomForest", frozenset({"mean", "variance", "samples"}), _BOTH_KINDS
    ),
    "deep_ensemble": SurrogateEntry(
        "theoros.models.surrogates.deep_ensemble:DeepEnsemble", frozenset({"mean", "variance", "samples"}), _BOTH_KINDS
    ),
    "deep_kernel": SurrogateEntry(f"{_SURROGATES}.deep_kernel:DeepKernelProcess", _GAUSSIAN, _BOTH_KINDS),
    "message_passing": SurrogateEntry(
        "theoros.models.surrogates.message_passing:MessagePassing",
        frozenset({"mean", "variance", "samples"}),
        _MOLECULE,
    ),
    "cvae": SurrogateEntry(f"{_TWINS}.cvae:ConditionalVAE", _GENERATIVE, _BOTH_KINDS),
    "cgan": SurrogateEntry(f"{_TWINS}.cgan:ConditionalGAN", _GENERATIVE, _BOTH_KINDS),
    "conditional_flow": SurrogateEntry(
        f"{_TWINS}.conditional_flow:ConditionalFlow", _GENERATIVE, _BOTH_KINDS, ("zuko", "twins")
    ),
    "flow_matching": SurrogateEntry(f"{_TWINS}.flow_matching:FlowMatching", _GENERATIVE, _BOTH_KINDS),
    "foam_twin": SurrogateEntry(
        f"{_TWINS}.foam:FoamTwin",
        frozenset({"mean", "variance", "generative"}),
        _PARAMETERS,
        reads=("films",),
        parameters=("bubbles", "disorder", "age", "seed"),
    ),
}
ACQUISITIONS: Mapping[str, AcquisitionEntry] = {
    "log_ei": AcquisitionEntry(f"{_ACQUISITION}.log_ei:LogExpectedImprovement", _POSTERIOR, _ONE),
    "log_ei_per_second": AcquisitionEntry(
        f"{_ACQUISITION}.per_second:LogExpectedImprovementPerSecond", _POSTERIOR, _ONE, run_times=True
    ),
    "log_ehvi": AcquisitionEntry(f"{_ACQUISITION}.log_ehvi:LogExpectedHypervolumeImprovement", _POSTERIOR, _PARETO),
    "log_desirability": AcquisitionEntry(
        f"{_ACQUISITION}.log_desirability:LogExpectedDesirability", _POSTERIOR, _DESIRABILITY
    ),
    "ei": AcquisitionEntry(f"{_ACQUISITION}.expected_improvement:ExpectedImprovement", _MOMENTS, _ONE),
    "ucb": AcquisitionEntry(f"{_ACQUISITION}.ucb:UpperConfidenceBound", _MOMENTS, _OPTIMIZE),
    "sceptical_ucb": AcquisitionEntry(f"{_ACQUISITION}.sceptical_ucb:ScepticalUpperBound", _POSTERIOR, _OPTIMIZE),
    "thompson": AcquisitionEntry(
        f"{_ACQUISITION}.thompson:Thompson", frozenset({"samples"}), _ONE | _PARETO | _DESIRABILITY
    ),
    "greedy": AcquisitionEntry(f"{_ACQUISITION}.greedy:Greedy", frozenset({"mean"}), _ONE),
    "std": AcquisitionEntry(
        f"{_ACQUISITION}.standard_deviation:StandardDeviation", frozenset({"variance"}), _ONE | _LEARN
    ),
    "integrated_variance": AcquisitionEntry(
        f"{_ACQUISITION}.integrated_variance:IntegratedVariance", _POSTERIOR, _LEARN
    ),
    "mes": AcquisitionEntry(f"{_ACQUISITION}.mes:MaxValueEntropySearch", _POSTERIOR, _OPTIMIZE),
    "knowledge_gradient": AcquisitionEntry(
        f"{_ACQUISITION}.knowledge_gradient:KnowledgeGradient", _POSTERIOR, _OPTIMIZE
    ),
    "epig": AcquisitionEntry(f"{_ACQUISITION}.epig:ExpectedPredictiveInformationGain", frozenset({"samples"}), _LEARN),
    "bald": AcquisitionEntry(f"{_ACQUISITION}.bald:Disagreement", frozenset({"variance"}), _LEARN),
    "committee": AcquisitionEntry(f"{_ACQUISITION}.committee:QueryByCommittee", frozenset({"samples"}), _LEARN),
    "loo_variance": AcquisitionEntry(
        f"{_ACQUISITION}.loo_variance:LeaveOneOutVariance", _POSTERIOR, _LEARN, instead=frozenset({"left_out"})
    ),
    "distribution_distance": AcquisitionEntry(
        f"{_ACQUISITION}.distribution_distance:DistributionDistance", frozenset({"generative"}), _LEARN
    ),
    "violation": AcquisitionEntry(f"{_ACQUISITION}.violation:Violation", frozenset({"generative"}), _LEARN),
    "molecular_portfolio": AcquisitionEntry(f"{_ACQUISITION}.portfolio:MolecularPortfolio", _POSTERIOR, _OPTIMIZE),
    "portfolio": AcquisitionEntry(
        f"{_ACQUISITION}.portfolio:Portfolio", frozenset({"mean", "variance", "samples"}), _OPTIMIZE
    ),
    "random": AcquisitionEntry(
        f"{_ACQUISITION}.random_scores:RandomScores", frozenset(), _ONE | _PARETO | _DESIRABILITY | _LEARN
    ),
}
#: Surrogates that weigh labels by what is known of their errors.
READ_NOISE = ("gp", "warped_gp", "heteroskedastic_gp", "saas_gp", "saas_nuts", "tanimoto_gp", "graph_gp", "string_gp")
#: From so many parameters on a sparse-axis process is a rival.
MANY_PARAMETERS = 20
#: Above so many labels these surrogates are replaced where the choice is free.
MANY_LABELS = 1_500
_FOR_MANY: Mapping[str, str] = {"gp": "variational_gp"}
#: Labels before which these rivals are not judged, being slow to learn what a process knows better.
_JUDGED_FROM: Mapping[str, int] = {"message_passing": 150, "deep_ensemble": 300, "deep_kernel": 300}
#: ``acquisition: auto`` is the first of these that serves the aim and finds what it needs.
_BY_PREFERENCE = ("log_ei", "log_ehvi", "log_desirability", "thompson", "ei", "greedy", "integrated_variance", "std")
PROPOSERS: Mapping[str, ProposerEntry] = {
    "random": ProposerEntry(f"{_PROPOSERS}.random_design:RandomDesign", _BOTH_KINDS, False),
    "sobol": ProposerEntry(f"{_PROPOSERS}.sobol:SobolDesign", _BOTH_KINDS, False),
    "earlier_best": ProposerEntry(f"{_PROPOSERS}.earlier_best:EarlierBest", _PARAMETERS, False),
    "acquisition_optimizer": ProposerEntry(
        f"{_PROPOSERS}.acquisition_optimizer:AcquisitionOptimizer", _PARAMETERS, True, "infinite"
    ),
    "trust_region": ProposerEntry(f"{_PROPOSERS}.trust_region:TrustRegion", _PARAMETERS, True, "infinite"),
    "library": ProposerEntry(f"{_PROPOSERS}.library_ranking:LibraryRanking", _BOTH_KINDS, False, "finite"),
    "genetic": ProposerEntry(f"{_PROPOSERS}.genetic.algorithm:GeneticAlgorithm", _MOLECULE, True, "infinite"),
    "selfies": ProposerEntry(f"{_PROPOSERS}.selfies_edits:SelfiesEdits", _MOLECULE, True, "infinite"),
    "selfies_vae": ProposerEntry(f"{_PROPOSERS}.selfies_vae:SelfiesVAEProposer", _MOLECULE, True, "infinite"),
    "language_model": ProposerEntry(f"{_PROPOSERS}.language_model:LanguageModelProposer", _MOLECULE, True, "infinite"),
    "gflownet": ProposerEntry(f"{_PROPOSERS}.gflownet:GFlowNetProposer", _MOLECULE, True, "infinite"),
    "flow3d": ProposerEntry(f"{_PROPOSERS}.flow3d:Flow3DProposer", _MOLECULE, True, "infinite", ("e3nn", "flow")),
}


def surrogate(name: str, options: Mapping[str, Any] | None = None) -> Surrogate:
    """Build the surrogate `name`, or ``module:Class`` of a user's own; raises ValueError.

    `options` are for a class that has ``with_options``.
    """
    built = load(_surrogate_entry(name).path)
    if not options:
        return cast(Surrogate, built())
    if not hasattr(built, "with_options"):
        raise ValueError(f"The surrogate {name!r} has no options. Leave {', '.join(map(repr, options))} out.")
    return cast(Surrogate, built.with_options(options))


def acquisition(name: str) -> Acquisition:
    """Build the acquisition `name`, or a user's own ``module:Class``; raises ValueError."""
    return cast(Acquisition, load(_acquisition_entry(name).path)())


def proposer(name: str, options: Mapping[str, Any] | None = None) -> Proposer:
    """Build the proposer `name`, or a user's own ``module:Class``; raises ValueError.

    `options` are for a class that has ``with_options``.
    """
    entry = _proposer_entry(name)
    built = load(entry.path)
    if not options:
        return cast(Proposer, built())
    if not hasattr(built, "with_options"):
        raise ValueError(f"The proposer {name!r} has no options. Leave {', '.join(map(repr, options))} out.")
    return cast(Proposer, built.with_options(options))


def default_surrogate(problem: Problem) -> str:
    """The name behind ``surrogate: auto``; raises ValueError when no built-in surrogate reads the space's kind."""
    for name, entry in SURROGATES.items():
        if problem.space.kind in entry.kinds:
            return name
    raise ValueError(
        f"No built-in surrogate reads candidates of kind {problem.space.kind!r}. "
        f"Name a surrogate of your own as 'module:Class'."
    )


def rivals(problem: Problem, acquisition: str) -> tuple[str, ...]:
    """The surrogates among which ``surrogate: auto`` chooses by what they predict (`theoros.models.contest`).

    The default one comes first and is believed until another has proved better; all offer what `acquisition` needs, and
    use what is known of the labels' errors. A sparse-axis process is a rival only where there are many parameters:
    where there are few it costs more and wins nothing.
    """
    first, needs = default_surrogate(problem), _acquisition_entry(acquisition).needs
    others = ["message_passing", "deep_ensemble", "deep_kernel"] if problem.space.kind == "molecule" else []
    if len(getattr(problem.space, "parameters", ())) >= MANY_PARAMETERS:
        others.append("saas_gp")
    able = [name for name in [*others, "random_forest"] if needs <= SURROGATES[name].provides]
    return (first, *(name for name in able if not problem.noise or name in READ_NOISE))


def judged_from(name: str) -> int:
    """Labels that there must be before `name` takes part in the contest of surrogates."""
    return _JUDGED_FROM.get(name, 0)


def for_many(name: str, problem: Problem, labels: int) -> str:
    """The surrogate that stands for `name` beside so many labels, which it would be slow to learn itself."""
    return _FOR_MANY.get(name, name) if labels > MANY_LABELS and not problem.noise else name


def default_acquisition(problem: Problem, surrogate: str | None = None) -> str:
    """The name behind ``acquisition: auto``, beside `surrogate` (the default one unless it is named).

    Raises ValueError when there is no surrogate of that name.
    """
    offered = _surrogate_entry(surrogate or default_surrogate(problem)).provides
    first = ("molecular_portfolio",) if _is_open_molecules(problem) else ()
    serving = [name for name in (*first, *_BY_PREFERENCE) if problem.aim in ACQUISITIONS[name].goals]
    return next((name for name in serving if ACQUISITIONS[name].needs <= offered), "random")


def _is_open_molecules(problem: Problem) -> bool:
    """Whether molecules are made and not taken from a list, at one level and without constraints on labels: the sceptic
    learns from the target alone, and what `benchmarks/pmo.py` has measured is this.
    """
    open_space = problem.space.kind == "molecule" and not problem.space.is_finite
    return open_space and len(problem.fidelities) == 1 and not problem.constraints


def reads_run_times(acquisition: str) -> bool:
    """Whether the acquisition wants run times to be learned; raises ValueError for a name that nobody knows."""
    return _acquisition_entry(acquisition).run_times


def structures_read(name: str, options: Mapping[str, Any] | None = None) -> tuple[str, ...]:
    """The arrays of each label that the surrogate reads, with `options`; raises ValueError for a name that nobody
    knows.
    """
    if options:
        return tuple(getattr(surrogate(name, options), "reads", ()))
    return _surrogate_entry(name).reads


def default_proposers(problem: Problem) -> tuple[str, ...]:
    """Where candidates come from when the user does not say."""
    if problem.space.is_finite:
        return ("library",)
    return ("acquisition_optimizer",) if problem.space.kind == "parameters" else ("genetic", "random")


def initial_proposer(problem: Problem) -> str:
    """Where the candidates asked before the first fit come from."""
    return "sobol" if problem.space.kind == "parameters" and not problem.space.is_finite else "random"


def check_surrogate_name(name: str, problem: Problem) -> None:
    """Raise ValueError when `name` is no surrogate, one that can't read the problem's candidates, or not installed."""
    entry = _surrogate_entry(name)
    if problem.space.kind not in entry.kinds:
        raise ValueError(
            f"The surrogate {name!r} reads {_listed(entry.kinds)}, and the space holds {problem.space.kind!r}. "
            f"Use {default_surrogate(problem)!r}, or leave the surrogate out."
        )
    known = {**getattr(problem.space, "parameters", {}), **problem.constants}
    if lacking := [parameter for parameter in entry.parameters if parameter not in known]:
        raise ValueError(
            f"The surrogate {name!r} reads the parameter {lacking[0]!r} of every candidate, which the space lacks. "
            f"Declare {', '.join(lacking)} in the space, or use another surrogate."
        )
    _check_installed("surrogate", name, entry.needs)


def check_options(name: str, options: Mapping[str, Any], problem: Problem) -> None:
    """Raise ValueError, or OptionError, for what the surrogate `name` could not do with its options in `problem`.

    A surrogate that has ``check(problem)`` is asked itself, when it is built for its options or is the user's own.
    """
    if options or ":" in name:  # without any there is nothing to check, and torch need not be loaded
        built = surrogate(name, options)
        if hasattr(built, "check"):
            built.check(problem)


def check_laws(name: str, options: Mapping[str, Any], acquisition: str) -> None:
    """Raise ValueError where `acquisition` asks for the laws of a twin that is taught none."""
    if acquisition == "violation" and not getattr(surrogate(name, options), "residuals", True):
        raise ValueError(
            f"The acquisition 'violation' asks where laws are broken, and the surrogate {name!r} is taught none. "
            f"Write 'surrogate: {{{name}: {{residuals: [my_laws:energy]}}}}', or use 'distribution_distance'."
        )


def check_reads_noise(name: str) -> None:
    """Raise ValueError when `name` is a built-in surrogate that can't use what is known of the labels' errors."""
    if ":" not in name and name not in READ_NOISE:
        raise ValueError(
            f"The surrogate {name!r} finds out itself how far labels scatter, and can't be told. "
            f"Use one of {', '.join(map(repr, READ_NOISE))}, or leave 'noise' out of the question."
        )


def check_proposer_name(name: str, problem: Problem) -> None:
    """Raise ValueError when `name` is no proposer, or one that can't work in the problem's space."""
    entry = _proposer_entry(name)
    finite = "finite" if problem.space.is_finite else "infinite"
    usable = ", ".join(repr(known) for known, e in PROPOSERS.items() if _works(e, problem))
    if problem.space.kind not in entry.kinds:
        raise ValueError(
            f"The proposer {name!r} makes {_listed(entry.kinds)}, and the space holds {problem.space.kind!r}. "
            f"Use one of {usable}."
        )
    if entry.spaces not in ("any", finite):
        raise ValueError(
            f"The proposer {name!r} works on {entry.spaces} spaces, and this one is {finite}. Use one of {usable}."
        )
    _check_installed("proposer", name, entry.needs)


def check_proposer_options(name: str, options: Mapping[str, Any]) -> None:
    """Raise ValueError when the proposer `name` can't have these `options`; only a user's own is built for it.

    Of a built-in one it is an `OptionError`.
    """
    if ":" in name:
        proposer(name, options)
        return
    from theoros.models.proposers.options import values_of

    values_of(name, options)


def _check_installed(what: str, name: str, needs: tuple[str, str] | None) -> None:
    if needs is not None and importlib.util.find_spec(needs[0]) is None:
        raise ValueError(
            f"The {what} {name!r} needs the module {needs[0]!r}, which is not installed. "
            f"Install it with: pip install 'theoros[{needs[1]}]'"
        )


def compatible(surrogate: str, acquisition: str, goal: str) -> None:
    """Raise ValueError unless the acquisition serves `goal` (`Problem.aim`) and the surrogate offers all it needs."""
    offered, wanted = _surrogate_entry(surrogate), _acquisition_entry(acquisition)
    if goal not in wanted.goals:
        serving = ", ".join(repr(name) for name, entry in ACQUISITIONS.items() if goal in entry.goals)
        raise ValueError(
            f"The acquisition {acquisition!r} serves the goal {_listed(wanted.goals)}, and the campaign's is {goal!r}. "
            f"Use one of {serving}."
        )
    if not wanted.works_with(offered.provides):
        missing = wanted.needs - offered.provides
        fitting = ", ".join(
            repr(name) for name, e in ACQUISITIONS.items() if e.works_with(offered.provides) and goal in e.goals
        )
        raise ValueError(
            f"The acquisition {acquisition!r} needs {_listed(missing)}, which the surrogate {surrogate!r} lacks. "
            f"Use one of {fitting}, or another surrogate."
        )


def _works(entry: ProposerEntry, problem: Problem) -> bool:
    finite = "finite" if problem.space.is_finite else "infinite"
    return problem.space.kind in entry.kinds and entry.spaces in ("any", finite)


def _surrogate_entry(name: str) -> SurrogateEntry:
    if ":" in name:
        cls = load(name)
        reads, parameters = (tuple(getattr(cls, what, ())) for what in ("reads", "parameters"))
        return SurrogateEntry(name, frozenset(cls.provides), frozenset(cls.kinds), reads=reads, parameters=parameters)
    return SURROGATES[_known(name, SURROGATES, "surrogate")]


def _acquisition_entry(name: str) -> AcquisitionEntry:
    if ":" in name:
        cls = load(name)
        run_times, instead = bool(getattr(cls, "run_times", False)), frozenset(getattr(cls, "instead", ()))
        return AcquisitionEntry(name, frozenset(cls.needs), frozenset(cls.goals), run_times, instead)
    return ACQUISITIONS[_known(name, ACQUISITIONS, "acquisition")]


def _proposer_entry(name: str) -> ProposerEntry:
    if ":" in name:
        cls = load(name)
        return ProposerEntry(name, frozenset(cls.kinds), bool(cls.needs_model))
    return PROPOSERS[_known(name, PROPOSERS, "proposer")]


def _known(name: str, table: Mapping[str, Any], what: str) -> str:
    if name in table:
        return name
    close = difflib.get_close_matches(name, table, n=1)
    hint = f"Did you mean {close[0]!r}?" if close else f"Use one of {', '.join(map(repr, table))}."
    raise ValueError(f"There is no {what} {name!r}. {hint}")


def _listed(names: frozenset[str]) -> str:
    return " or ".join(repr(name) for name in sorted(names))
