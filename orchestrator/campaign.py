"""A campaign in Python: the same thing as a campaign file, and ask/tell for oracles that are people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from theoros.db import Store
from theoros.orchestrator.earlier import KEY, Lesson, informed, lessons, stored_lessons
from theoros.orchestrator.plan import Plan
from theoros.orchestrator.resolve import resolve
from theoros.orchestrator.spec.campaign import CampaignSpec
from theoros.orchestrator.spec.errors import SpecError
from theoros.orchestrator.spec.load import load_spec, spec_from_dict

if TYPE_CHECKING:
    import pandas as pd

    from theoros.orchestrator.asktell import Asked
    from theoros.orchestrator.session import Companion, Ending, StartSlot

DEFAULT_DATABASE = "theoros.db"


class Campaign:
    """A stored campaign.

    ``Campaign("campaign.yaml").run()`` runs a file; ``Campaign({...}).run()`` the same as a mapping. A campaign that
    the database has under that name is opened when its specification is the same, and refused when it differs.
    ``Campaign.open(name)`` opens one by its name alone. `lessons` are what it learns from earlier campaigns.

    Args:
        spec: a path, a mapping, or a `CampaignSpec`.
        database: path (SQLite), URL, or an open store; it is made if there is none.
        base: folder for relative paths in the specification; default the file's own, or the working directory.
        file: the name that errors call the specification by.
        control_of: the campaign that this one is a control of.

    Raises SpecError for anything wrong with the specification, and CampaignExists for a name that is taken.
    """

    def __init__(
        self,
        spec: str | Path | Mapping[str, Any] | CampaignSpec,
        database: str | Path | Store = DEFAULT_DATABASE,
        *,
        base: str | Path | None = None,
        file: str = "",
        control_of: str | None = None,
    ) -> None:
        if isinstance(spec, str | Path):
            file, base = Path(spec).name, base or Path(spec).resolve().parent
            spec = load_spec(Path(spec))
        elif not isinstance(spec, CampaignSpec):
            spec = spec_from_dict(spec)
        base = Path(base or Path.cwd()).resolve()
        self.plan: Plan = resolve(spec, base, file=file)
        self.store = database if isinstance(database, Store) else Store(database)
        self._stored = {"base": str(base), "scorecard": self.plan.scorecard.to_dict(), "campaign": spec.to_dict()}
        self._control_of = control_of
        self._is_new = self._check_new()
        self.lessons = self._choose_lessons(file)
        self.plan = informed(self.plan, self.store, self.lessons)

    @classmethod
    def open(cls, name: str, database: str | Path = DEFAULT_DATABASE) -> Campaign:
        """Open a stored campaign.

        Raises CampaignNotFound, DatabaseNotFound when there is no database, and SpecError when the oracle has come to
        give its answers in other units.
        """
        store = Store(database, create=False)
        stored = store.campaign(name).spec
        campaign = cls.__new__(cls)
        campaign.store = store
        campaign.plan = resolve(spec_from_dict(stored["campaign"]), Path(stored["base"]), begun=True)
        campaign._stored, campaign._is_new, campaign._control_of = dict(stored), False, None
        _require_units(stored["scorecard"]["units"], campaign.plan.scorecard.units, name)
        campaign.lessons = stored_lessons(stored)
        campaign.plan = informed(campaign.plan, store, campaign.lessons)
        return campaign

    def _check_new(self) -> bool:
        """Whether the database lacks this campaign; raises CampaignExists when it has another of that name.

        The folder that it was begun in is no part of the question: a Ray job gets its files in another one each time.
        """
        from theoros.db import CampaignExists, CampaignNotFound

        try:
            known = self.store.campaign(self.name).spec
        except CampaignNotFound:
            return True
        if _question(known) != _question(self._stored):
            raise CampaignExists(
                f"The database {self.store.safe_url} has a campaign {self.name!r} with another specification. "
                "A campaign is never overwritten: change the name in the file, or let `theoros run --fresh` choose the "
                "next one."
            )
        return False

    def _choose_lessons(self, file: str) -> tuple[Lesson, ...]:
        """What is learned from earlier campaigns: as it was chosen when this one was new.

        A control learns from the same labels as what it is a control of.
        """
        if not self.plan.spec.learn_from:
            return ()
        if not self._is_new:
            return stored_lessons(self.store.campaign(self.name).spec)
        if self._control_of is not None and self.plan.acquisition != "random":
            return stored_lessons(self.store.campaign(self._control_of).spec)
        return lessons(self.plan, self.store, file=file)

    def save(self) -> None:
        """Store the campaign if it is new. Running and asking do so by themselves."""
        if self._is_new:
            spec = self.plan.spec
            chosen = {KEY: [lesson.to_dict() for lesson in self.lessons]} if self.lessons else {}
            self.store.create_campaign(
                spec.campaign,
                goal=spec.question.goal,
                spec=self._stored | chosen,
                seed=spec.seed,
                control_of=self._control_of,
            )
            for lesson in self.lessons:
                self.store.add_event(spec.campaign, "learned_from", lesson.text, lesson.to_dict())
            self._is_new = False

    @property
    def state(self) -> str:
        """new, created, running, paused, finished or failed."""
        return "new" if self._is_new else self.store.campaign(self.name).state

    @property
    def name(self) -> str:
        """The campaign's name in the database."""
        return self.plan.spec.campaign

    @property
    def question_text(self) -> str:
        """The question in one line: ``maximize gap (eV) subject to sa_score <= 4``."""
        question, card = self.plan.spec.question, self.plan.scorecard
        bounds = f" subject to {', '.join(question.subject_to)}" if question.subject_to else ""
        return f"{card.wishes}{bounds}"

    def run(
        self,
        *,
        address: str | None = None,
        companions: tuple[Companion, ...] = (),
        start_slot: StartSlot | None = None,
    ) -> Ending:
        """Run until the campaign ends or is stopped; see `theoros.orchestrator.session.run_session`.

        Raises ClusterError, before anything is stored, when the cluster can't hold the slots or a model worker.
        """
        from theoros.orchestrator.session import run_session
        from theoros.workers.cluster import join

        n_slots = join(address, self.plan.resources, self.plan.spec.workers.slots, self.plan.model_workers)
        self.save()
        return run_session(self.plan, self.store, n_slots, companions=companions, start_slot=start_slot)

    def ask(self, client: str = "me") -> Asked:
        """The next evaluation for `client`, who answers it with `tell`; see `theoros.orchestrator.asktell.ask`.

        Asking again before telling gives the same evaluation.
        """
        from theoros.orchestrator.asktell import ask

        self.save()
        return ask(self.plan, self.store, client)

    def tell(self, asked: Asked, answer: Mapping[str, Any] | float | Exception) -> bool:
        """Answer an evaluation: outputs by name, a single number, or an exception for a failed experiment.

        Returns False when the answer had been given before.
        """
        from theoros.orchestrator.asktell import tell

        return tell(self.plan, self.store, asked, answer)

    def labels(self) -> pd.DataFrame:
        """All labels, one row each."""
        return self.store.labels(self.name)

    def top(self, n: int = 10) -> pd.DataFrame:
        """The `n` best feasible labels at the target fidelity, the best first."""
        from theoros.orchestrator.report.best import best_labels

        return best_labels(self.store, self.name, n)

    def close(self) -> None:
        """Close the database."""
        self.store.close()


def _question(stored: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a stored specification another one: neither its folder nor what it learned when it was new."""
    return {key: value for key, value in stored.items() if key not in ("base", KEY)}


def _require_units(stored: Mapping[str, str], now: Mapping[str, str], name: str) -> None:
    """Raise SpecError when an output has another unit than the labels that the campaign has: they can't be compared."""
    for output, unit in stored.items():
        if now.get(output, unit) != unit:
            raise SpecError(
                f"the labels of campaign {name!r} have {output!r} in {unit or 'no unit'}, and the oracle now gives it "
                f"in {now[output] or 'no unit'}. Restore the oracle, or begin a campaign of another name.",
                ("oracle",),
            )
