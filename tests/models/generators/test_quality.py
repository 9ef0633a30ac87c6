"""Shares of what a generator drew."""

from theoros.models.generators.quality import Quality, canonical, quality


def test_qualities_of_a_known_sample():
    drawn = canonical(["CC", "C(C)", "CO", "C(", ""])
    assert drawn == ["CC", "CC", "CO", None, None]
    assert quality(drawn, ["CC"]) == Quality(validity=3 / 5, uniqueness=2 / 3, novelty=1 / 2)


def test_nothing_has_no_quality():
    assert quality([None], []) == quality([], []) == Quality(0.0, 0.0, 0.0)
