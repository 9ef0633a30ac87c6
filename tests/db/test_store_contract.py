"""What a store promises, on each back end alike."""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
import pytest

from theoros.db import (
    AnswerNotFinite,
    CampaignExists,
    CampaignNotFound,
    CheckRecord,
    ModelVersionRecord,
    OfferRecord,
    ParentRecord,
    ScoreRecord,
    Store,
    StoreError,
)
from theoros.db.errors import DuplicateModelVersion


def test_a_campaign_comes_back_as_it_was_made(store):
    spec = {"question": {"maximize": "y"}, "z": 1, "a": [1, 2.5, None, "é"]}
    made = store.create_campaign("one", goal="optimize", spec=spec, seed=2**40)
    assert made == store.campaign("one")
    assert made.spec == spec
    assert list(made.spec) == ["question", "z", "a"], "the order of a specification can matter"
    assert (made.state, made.seed, made.stop_reason, made.stop_requested) == ("created", 2**40, None, None)
    assert abs(made.created_at - dt.datetime.now(dt.UTC)) < dt.timedelta(seconds=5)


def test_a_control_names_the_campaign_that_it_controls(store, campaign):
    assert store.create_campaign("random", goal="optimize", spec={}, seed=7, control_of=campaign).control_of == campaign
    assert [record.name for record in store.campaigns()] == [campaign, "random"]
    with pytest.raises(CampaignNotFound):
        store.create_campaign("other", goal="optimize", spec={}, seed=7, control_of="nobody")


def test_a_campaign_name_is_taken_once(store, campaign):
    with pytest.raises(CampaignExists, match="theoros resume reactor"):
        store.create_campaign(campaign, goal="learn", spec={}, seed=1)


def test_an_unknown_campaign_is_answered_with_close_names(store, campaign):
    with pytest.raises(CampaignNotFound, match="Did you mean 'reactor'"):
        store.campaign("reacter")
    with pytest.raises(CampaignNotFound, match="It has 'reactor'"):
        store.progress("zzz", {})


def test_a_campaign_changes_state_and_says_why(store, campaign):
    store.set_state(campaign, "running")
    store.set_state(campaign, "finished", "budget spent")
    assert (store.campaign(campaign).state, store.campaign(campaign).stop_reason) == ("finished", "budget spent")
    with pytest.raises(StoreError, match="no campaign state"):
        store.set_state(campaign, "asleep")


def test_a_request_to_stop_can_be_read_and_taken_back(store, campaign):
    store.request_stop(campaign, "drain")
    assert store.campaign(campaign).stop_requested == "drain"
    store.clear_stop(campaign)
    assert store.campaign(campaign).stop_requested is None
    with pytest.raises(StoreError, match="drain, cancel"):
        store.request_stop(campaign, "now")


def test_the_last_events_come_oldest_first(store, campaign):
    for number in range(5):
        store.add_event(campaign, "note" if number % 2 else "fit", f"event {number}", {"n": number})
    assert [event.message for event in store.events(campaign, 2)] == ["event 3", "event 4"]
    assert [event.data["n"] for event in store.events(campaign, kinds=["note"])] == [1, 3]


def test_a_decision_becomes_a_label_with_every_number_intact(store, work, make):
    work.ask(3, predictions=[make.prediction(0.9, 0.2)], model_version=4, acquisition="ei", acquisition_value=0.5)
    claim = work.claim()
    assert claim.candidate == make.candidate(3)
    dipole, forces = np.array([1e-300, -0.1, 3.0]), np.random.default_rng(0).normal(size=(40, 3))
    assert store.complete(claim.token, make.answer(1 / 3, dipole=dipole, forces=forces, tensor=np.eye(3), none=[]))
    (label,) = store.label_records(work.name)
    assert label.candidate == make.candidate(3)
    assert label.values["y"] == 1 / 3
    assert label.values["y"].shape == ()
    np.testing.assert_array_equal(label.values["dipole"], dipole)
    np.testing.assert_array_equal(label.values["forces"], forces)
    np.testing.assert_array_equal(label.values["tensor"], np.eye(3))
    assert label.values["none"].shape == (0,)
    assert (label.cost, label.from_cache, label.sequence) == (1.0, False, 1)


def test_labels_come_in_the_order_of_decisions_whatever_order_they_arrived_in(store, work, make):
    work.ask(5, 2, 9)
    claims = store.claim(work.name, worker="w", limit=3)
    for claim in reversed(claims):
        store.complete(claim.token, make.answer(claim.evaluation_id))
    records = store.label_records(work.name)
    assert [record.sequence for record in records] == [1, 2, 3]
    assert [record.candidate.hash for record in records] == ["hash5", "hash2", "hash9"]
    some = {records[0].evaluation_id, records[2].evaluation_id}
    assert [record.sequence for record in store.label_records(work.name, of=some)] == [1, 3]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_an_answer_that_is_not_finite_is_no_label(store, work, make, bad):
    work.ask(1)
    claim = work.claim()
    with pytest.raises(AnswerNotFinite, match="Output 'forces'"):
        store.complete(claim.token, make.answer(1.0, forces=[0.0, bad]))
    assert store.label_records(work.name) == []
    assert store.fail(claim.token, make.failure("not finite"))


def test_captured_output_of_any_bytes_is_kept(store, work, make):
    work.ask(1)
    claim = work.claim()
    assert store.fail(claim.token, make.failure(retry_after=None))
    attempt = store.attempts(work.name).iloc[0]
    assert attempt.stderr == "Traceback\\0"
    assert (attempt.exit_class, attempt.host, attempt.wall_seconds) == ("timeout", "node1", 3.0)


def test_beliefs_that_are_not_numbers_are_kept_as_such(store, work, make):
    (evaluation,) = work.ask(1, predictions=[make.prediction(math.nan, math.inf)], acquisition_value=-math.inf)
    (belief,) = store.predictions(work.name)[evaluation.evaluation_id]
    assert math.isnan(belief.mean)
    assert math.isnan(belief.std)


def test_offers_and_parents_hang_at_their_decision_and_come_back_in_their_order(store, work, make):
    pool = (OfferRecord("genetic", 40, 1 / 3, 0.75, 0.125), OfferRecord("random", 3, 1e-300))
    parents = [ParentRecord("CCO", "CC"), ParentRecord("CCO", "O\x00"), ParentRecord("CC", "C")]
    first, second = work.ask(1, offers=pool, parents=parents)[0], work.ask(2)[0]
    assert store.offers(work.name) == {first.evaluation_id: pool}
    kept = store.descent(work.name)
    assert [(pair.child, pair.parent) for pair in kept.pop(first.evaluation_id)] == [
        ("CCO", "CC"),
        ("CCO", "O\\0"),
        ("CC", "C"),
    ]
    assert kept == {}
    for claim in (work.claim(), work.claim()):
        store.complete(claim.token, make.answer())
    labels = store.label_records(work.name)
    assert [label.offers for label in labels] == [pool, ()]
    assert store.label_records(work.name, of=[second.evaluation_id])[0].offers == ()
    assert store.label_records(work.name, of=[first.evaluation_id])[0].offers == pool


def test_what_was_asked_before_adds_no_offers(store, work):
    work.ask(1, offers=[OfferRecord("genetic", 1, 0.5)])
    work.ask(1, offers=[OfferRecord("genetic", 9, 9.0)])
    assert [pool[0].proposals for pool in store.offers(work.name).values()] == [1]


def test_progress_counts_charges_and_commits(store, work, make):
    work.ask(1, 2, 3, 4, 5)
    work.ask(6, fidelity="low")
    first, second, third = store.claim(work.name, worker="w", limit=3)
    store.complete(first.token, make.answer(cost=1.5))
    store.fail(second.token, make.failure(retry_after=None, cost=0.25))
    evaluations = store.evaluations(work.name)
    store.cancel(work.name, [evaluations[3].evaluation_id])
    progress = store.progress(work.name, {"high": 1.0, "low": 0.1})
    assert progress.counts["high"] == {"done": 1, "abandoned": 1, "running": 1, "cancelled": 1, "queued": 1}
    assert progress.charged == {"high": 4, "low": 1}
    assert progress.cost == pytest.approx(1.75)
    assert progress.committed_cost == pytest.approx(1.75 + 2 * 1.0 + 0.1)
    assert progress.total("queued") == 2
    assert third.fidelity == "high"
    with pytest.raises(StoreError, match="Fidelity 'low'"):
        store.progress(work.name, {"high": 1.0})


def test_an_empty_campaign_has_empty_answers(store, campaign):
    progress = store.progress(campaign, {})
    assert (progress.counts, progress.cost, progress.active_seconds) == ({}, 0.0, 0.0)
    assert store.label_records(campaign) == store.evaluations(campaign) == store.model_versions(campaign) == []
    assert store.claim(campaign, worker="w") == []
    for frame in (store.labels(campaign), store.labels(campaign, wide=False), store.decisions(campaign)):
        assert frame.empty


def test_model_versions_are_appended_and_come_back_whole(store, work, make):
    work.ask(1)
    store.complete(work.claim().token, make.answer(2.0))
    (label,) = store.label_records(work.name)
    first = ModelVersionRecord(1, "gp", 0, 7, 0.1, hyperparameters={"noise": 1e-6})
    second = ModelVersionRecord(
        2,
        "gp",
        1,
        8,
        0.2,
        fell_back=True,
        message="Cholesky failed",
        scores=(ScoreRecord("y", "rmse", 0.5, 1),),
        checks=(CheckRecord(label.label_id, "y", 1.5, 0.25, 2.0),),
    )
    for record in (first, second):
        store.add_model_version(work.name, record)
    assert store.model_versions(work.name) == [first, second]
    with pytest.raises(DuplicateModelVersion):
        store.add_model_version(work.name, first)
    assert store.checks(work.name).iloc[0].error_in_std == 2.0
    assert store.model_scores(work.name).iloc[0].metric == "rmse"


def test_tables_for_people_hold_parameters_outputs_and_units(store, work, make):
    work.ask(1, 2)
    for claim in store.claim(work.name, worker="w", limit=2):
        store.complete(claim.token, make.answer(claim.evaluation_id, dipole=[1, 2, 3]))
    wide = store.labels(work.name)
    assert wide["x"].tolist() == [0.5, 1.0]
    assert wide["dipole"].tolist() == [[1, 2, 3]] * 2
    assert wide.attrs["units"] == {"y": "eV", "dipole": "eV/A"}
    assert store.labels(work.name, wide=False).query("output == 'y'")["from_cache"].tolist() == [False, False]
    assert str(store.attempts(work.name).claimed_at.dt.tz) == "UTC"


def test_a_store_that_is_opened_again_knows_everything(store, work, make, url, tmp_path):
    work.ask(1, 2)
    store.complete(work.claim().token, make.answer(4.0, forces=np.ones((30, 3))))
    before = store.evaluations(work.name), store.campaign(work.name)
    store.close()
    with Store(url, artifacts=tmp_path / "artifacts") as again:
        assert (again.evaluations(work.name), again.campaign(work.name)) == before
        assert again.label_records(work.name)[0].values["forces"].shape == (30, 3)
