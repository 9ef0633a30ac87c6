"""The campaign file as data. Importing this imports neither torch nor Ray nor PySCF."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from theoros.oracles.resources import Resources, Seconds
from theoros.orchestrator.spec.question import Question

Control = Literal["random", "train-once"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OracleSpec(_Frozen):
    """Who is asked: a built-in oracle, an entry point, or ``module:Name``, with the options that the file gives."""

    reference: str
    options: dict[str, Any] = Field(default_factory=dict)


class Budget(_Frozen):
    """When the money is spent. At least one limit must be given; the first one reached ends the campaign.

    `labels` counts labels at the target fidelity, `fidelities` those at a fidelity by its name (written beside the
    others in the file: ``budget: {dft: 60}``), `cost` is in units of one label at the target fidelity, failures
    included, and `wall_time` is seconds of running.
    """

    labels: int | None = Field(default=None, ge=1)
    cost: float | None = Field(default=None, gt=0)
    wall_time: Seconds | None = None
    fidelities: dict[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _gather_fidelities(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "fidelities" in data:
            return data
        own = {key: value for key, value in data.items() if key in cls.model_fields}
        return own | {"fidelities": {key: value for key, value in data.items() if key not in cls.model_fields}}

    @model_validator(mode="after")
    def _some_limit(self) -> Budget:
        if self.labels is None and self.cost is None and self.wall_time is None and not self.fidelities:
            raise ValueError("a budget needs at least one limit, for example 'labels: 60' or 'wall_time: 20 min'")
        return self


class StopRules(_Frozen):
    """Reasons to end before the budget is spent.

    `target`: the objective has reached this value (where it is to match one: has come this near). `stagnation`: so many
    labels at the target fidelity without a new best, or with several objectives without one that joins the front.
    `error`: the model's root mean square error on labels that it had not seen is below this.
    """

    target: float | None = None
    stagnation: int | None = Field(default=None, ge=2)
    error: float | None = Field(default=None, gt=0)


class Diversity(_Frozen):
    """How many near copies of one molecule may be asked together (`theoros.models.diversity`).

    Of the molecules that wait, run, or are picked together no more than `at_most` lie in one circle: are more similar
    than `similarity` to one of them, which counts too. Similarities are Tanimoto's of Morgan fingerprints (radius 2).
    With `remember` so many of the latest labels count beside those that wait.
    """

    similarity: float = Field(gt=0, lt=1)
    at_most: int = Field(default=1, ge=1)
    remember: int = Field(default=0, ge=0)


class Retries(_Frozen):
    """How often an evaluation is tried again after a failure of each class, counted for each class by itself.

    An evaluation that was lost with its worker, node or orchestrator more than `infrastructure` times, or that crashed
    its oracle's process more than `crash` times, is quarantined: abandoned as ``poison``. After a `memory` failure the
    next try gets twice the memory. `backoff` is the pause before the first retry of a class; it doubles each time.
    """

    infrastructure: int = Field(default=3, ge=0)
    crash: int = Field(default=1, ge=0)
    memory: int = Field(default=1, ge=0)
    timeout: int = Field(default=0, ge=0)
    not_converged: int = Field(default=0, ge=0)
    oracle_error: int = Field(default=0, ge=0)
    backoff: Seconds = 1.0

    def allowed(self, failure_class: str) -> int:
        """Retries for a class; classes that blame the candidate have none."""
        known = failure_class in type(self).model_fields and failure_class != "backoff"
        return int(getattr(self, failure_class)) if known else 0


class Workers(_Frozen):
    """Where the work is done. `slots` evaluations run side by side (``auto``: as many as fit the cluster).

    `lookahead` decisions wait beside the running ones, so that no slot is ever idle for want of one (``auto``: as many
    as the pace of evaluations and decisions asks for, and one on the fixed schedule of a single slot). `trainer` and
    `decider` are the resources of the two model workers; by default they claim no processor from the oracle's slots.
    With `cancel_hopeless` a running evaluation is cancelled once the model gives it less than this chance of beating
    the best label, as long as it has had less than half of its expected time.
    """

    slots: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    lookahead: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    trainer: Resources = Resources(num_cpus=0)
    decider: Resources = Resources(num_cpus=0)
    cancel_hopeless: Annotated[float, Field(gt=0, lt=0.5)] | None = None

    @model_validator(mode="after")
    def _repeatable(self) -> Workers:
        if self.cancel_hopeless is not None and self.slots == 1:
            raise ValueError(
                "cancel_hopeless depends on how long evaluations take, and a campaign with one slot repeats exactly; "
                "use more slots, or leave it out"
            )
        return self


def _as_oracle(value: Any) -> Any:
    """``oracle: name`` or ``oracle: {name: {options}}``, as people write it."""
    if isinstance(value, str):
        return {"reference": value}
    if isinstance(value, dict) and "reference" not in value:
        if len(value) != 1:
            raise ValueError(f"name one oracle with its options below it; found {sorted(map(str, value))}")
        ((reference, options),) = value.items()
        return {"reference": reference, "options": options or {}}
    return value


def _as_names(value: Any) -> Any:
    """One name, or several, each once."""
    names = [value] if isinstance(value, str) else value
    if isinstance(names, list | tuple) and len(set(map(str, names))) < len(names):
        raise ValueError("a campaign is named twice; name each once")
    return names


def _as_gates(value: Any) -> Any:
    """Names and single ``name: setting`` pairs, from a list of these, a mapping of settings, or one name."""
    if isinstance(value, dict):  # ``embed: true`` and ``embed:`` name a gate without a setting
        value = [name if setting in (None, True) else {name: setting} for name, setting in value.items()]
    listed = [value] if isinstance(value, str) else value if isinstance(value, list | tuple) else [value]
    names: list[str] = []
    for i, item in enumerate(listed):
        found = list(item) if isinstance(item, dict) else [item]
        if len(found) != 1 or not isinstance(found[0], str) or not found[0]:
            raise ValueError(
                f"number {i + 1}, {item!r}, is no gate; write a name, or one name with its setting, for example "
                "'gates: [charges, alerts: brenk]'"
            )
        names += found
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"the gate {twice[0]!r} is named twice; name each once")
    return tuple(listed)


def _proposers(data: dict[str, Any]) -> dict[str, Any]:
    """``proposers``, as people write them, as names and, where there are any, ``proposer_options``.

    They are a list of names and ``{name: {options}}``, a mapping of these, or one name.
    """
    value = data["proposers"]
    if isinstance(value, dict):
        value = [{name: options} for name, options in value.items()]
    listed = list(value) if isinstance(value, list | tuple) else [value]
    names: list[str] = []
    options: dict[str, Any] = dict(data.get("proposer_options") or {})
    for i, item in enumerate(listed):
        found = list(item.items()) if isinstance(item, dict) else [(item, None)]
        if len(found) != 1 or not isinstance(found[0][0], str) or not isinstance(found[0][1], dict | None):
            raise ValueError(
                f"proposers: number {i + 1}, {item!r}, is no proposer; write a name, or one name with its options, for "
                "example 'proposers: [random, {genetic: {generations: 30}}]'"
            )
        ((name, own),) = found
        names.append(name)
        options |= {name: own} if own else {}
    if twice := [name for name in options if names.count(name) > 1]:
        raise ValueError(f"proposers: {twice[0]!r} has options and is named twice; name it once")
    return {**data, "proposers": names} | ({"proposer_options": options} if options else {})


class CampaignSpec(_Frozen):
    """A question, a budget, and the rest of what a campaign needs; the YAML file and Python say the same thing.

    `space` is left out where the oracle has its own. `surrogate`, `acquisition` and `proposers` are chosen for the
    space and the goal unless they are named; a surrogate that has options is written ``surrogate: {name: {options}}``,
    which are kept as `surrogate_options`; so are proposers with options, ``proposers: [random, {name: {options}}]``,
    which are kept as `proposer_options` by their names. `learn_from` (``learn from`` in the file) names campaigns of
    the same database that asked a similar question. `gates` are what a molecule must pass before it may be asked, in
    their order: names, and ``{name: setting}`` where a gate has one (`theoros.oracles.spaces.gates.parse`). `credit`
    says whether several proposers share the proposals by what theirs earn with each decision, or with each second that
    a decision costs (`theoros.models.credit`). `diversity` keeps near copies of one molecule from being asked together.
    """

    model_config = ConfigDict(populate_by_name=True)

    campaign: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)
    description: str = ""
    question: Question
    oracle: Annotated[OracleSpec, BeforeValidator(_as_oracle)]
    space: dict[str, Any] | None = None
    budget: Budget
    stop: StopRules = StopRules()
    initial: int | None = Field(default=None, ge=1)
    learn_from: Annotated[tuple[str, ...], BeforeValidator(_as_names)] = Field(default=(), alias="learn from")
    gates: Annotated[tuple[Any, ...], BeforeValidator(_as_gates)] = ()
    diversity: Diversity | None = None
    surrogate: str = "auto"
    surrogate_options: dict[str, Any] = Field(default_factory=dict)
    acquisition: str = "auto"
    proposers: tuple[str, ...] = ()
    proposer_options: dict[str, dict[str, Any]] = Field(default_factory=dict)
    credit: Literal["per_decision", "per_second"] = "per_decision"
    retries: Retries = Retries()
    workers: Workers = Workers()
    train_once: bool = False
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _options_of_the_surrogate(cls, data: Any) -> Any:
        """``surrogate: {name: {options}}``, as people write it."""
        if not isinstance(data, dict) or not isinstance(data.get("surrogate"), dict):
            return data
        if len(data["surrogate"]) != 1:
            raise ValueError("surrogate: name one surrogate, with its options below it")
        ((name, options),) = data["surrogate"].items()
        return {**data, "surrogate": name, "surrogate_options": options or {}}

    @model_validator(mode="before")
    @classmethod
    def _options_of_proposers(cls, data: Any) -> Any:
        return _proposers(data) if isinstance(data, dict) and data.get("proposers") is not None else data

    @model_validator(mode="after")
    def _options_are_of_proposers(self) -> CampaignSpec:
        if strange := [name for name in self.proposer_options if name not in self.proposers]:
            raise ValueError(f"proposer_options: {strange[0]!r} is not among the proposers; name it there")
        return self

    @property
    def has_own_models(self) -> bool:
        """Whether models, or the laws they are taught, are the user's own code, which may lie beside the file."""
        named = (self.surrogate, self.acquisition, *self.proposers)
        return "residuals" in self.surrogate_options or any(":" in name for name in named)

    def to_dict(self) -> dict[str, Any]:
        """JSON data from which `CampaignSpec.model_validate` builds an equal specification."""
        data = self.model_dump(mode="json", by_alias=True)
        if not self.learn_from:  # campaigns that were stored before there was such a field are the same
            del data["learn from"]
        if not self.gates:
            del data["gates"]
        if self.diversity is None:
            del data["diversity"]
        if not self.surrogate_options:
            del data["surrogate_options"]
        # A control of the campaign may ask others than it does: what the options were for is gone then.
        data["proposer_options"] = {k: v for k, v in data["proposer_options"].items() if k in self.proposers}
        if not data["proposer_options"]:
            del data["proposer_options"]
        if self.credit == "per_decision":
            del data["credit"]
        if not self.question.noise:
            del data["question"]["noise"]
        return data
