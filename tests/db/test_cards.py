"""Cards are appended, read back whole, and kept from those who only read."""

from __future__ import annotations

import math

import pytest

from theoros.db import CardRecord, Store
from theoros.db.errors import CampaignNotFound, StoreReadOnly


def test_cards_come_back_as_they_were_kept_oldest_first(store, campaign):
    first = CardRecord("sensitivities", {"x": {"first": 0.25, "total": 0.75}, "n": 512}, 3)
    second = CardRecord("why", {"number": 4, "proposer": "sobol"})
    ids = [store.add_card(campaign, card) for card in (first, second)]
    kept = store.cards(campaign)
    assert [card.card for card in kept] == [first, second]
    assert [card.card_id for card in kept] == ids == sorted(ids)
    assert kept[0].created_at <= kept[1].created_at


def test_asking_again_adds_a_card_and_changes_none(store, campaign):
    card = CardRecord("why", {"number": 1})
    store.add_card(campaign, card)
    before = store.cards(campaign)
    store.add_card(campaign, card)
    assert store.cards(campaign)[:1] == before
    assert len(store.cards(campaign)) == 2


def test_cards_are_found_by_their_kind_and_campaign(store, campaign):
    store.create_campaign("other", goal="learn", spec={}, seed=0)
    store.add_card(campaign, CardRecord("why", {}))
    store.add_card(campaign, CardRecord("dependence", {}))
    store.add_card("other", CardRecord("why", {"of": "other"}))
    assert [card.card.kind for card in store.cards(campaign)] == ["why", "dependence"]
    assert [card.card.data for card in store.cards(campaign, "why")] == [{}]
    assert store.cards(campaign, "what-if") == []


def test_numbers_that_are_none_become_nothing(store, campaign):
    store.add_card(campaign, CardRecord("dependence", {"mean": [1.0, math.nan, math.inf]}))
    assert store.cards(campaign)[0].card.data == {"mean": [1.0, None, None]}


def test_a_reader_sees_cards_and_keeps_none(store, campaign, url):
    store.add_card(campaign, CardRecord("why", {"number": 1}))
    with Store(url, read_only=True) as reader:
        assert reader.cards(campaign) == store.cards(campaign)
        with pytest.raises(StoreReadOnly):
            reader.add_card(campaign, CardRecord("why", {"number": 2}))
    assert len(store.cards(campaign)) == 1


def test_a_campaign_that_is_not_there_has_no_cards(store, campaign):
    with pytest.raises(CampaignNotFound, match="reactor"):
        store.add_card("reacto", CardRecord("why", {}))
