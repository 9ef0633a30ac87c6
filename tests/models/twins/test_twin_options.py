"""What a campaign file says of a twin."""

import pytest

from theoros.models import registry
from theoros.models.twins.options import configured
from theoros.models.twins.physics import residual


@residual("energy", weight=2.0)
def energy(situation):
    """A law that can be imported."""
    return situation.outcomes["x"] - 1


def test_a_twin_is_built_with_the_options_of_a_file():
    twin = registry.surrogate(
        "cgan", {"members": 4, "steps": 150, "residuals": [f"{__name__}:energy"], "arrays": ["film"]}
    )
    assert (twin.name, twin.training.members, twin.training.steps) == ("cgan", 4, (150, 150))
    assert [law.name for law in twin.residuals] == ["energy"]
    assert twin.reads == registry.structures_read("cgan", {"arrays": ["film"]}) == ("film",)


def test_without_options_it_is_the_same_as_ever():
    assert registry.surrogate("cvae", {}) == registry.surrogate("cvae")
    assert registry.surrogate("cvae").training == configured({})["training"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": 3}, "The twin has no option 'layers'. It has members, steps, residuals, arrays."),
        ({"members": 2}, "input should be greater than or equal to 3 (got 2). Or leave it out."),
        ({"steps": True}, "input should be a valid integer (got True). Or leave it out."),
        ({"residuals": "a:b"}, "A twin's residuals are a list of 'module:name', not 'a:b'."),
        ({"arrays": "spectrum"}, "A twin's arrays are a list of outputs, each named once, not 'spectrum'."),
        ({"arrays": ["x", "x"]}, "A twin's arrays are a list of outputs, each named once, not ['x', 'x']."),
        ({"residuals": ["math:pi"]}, "'math:pi' is no residual. Put '@residual(\"pi\")' above the function."),
        (
            {"residuals": ["no_such_module:energy"]},
            "The residual 'no_such_module:energy' can't be loaded: No module named 'no_such_module'. "
            "Write 'module:Name' for Name in module.py beside the campaign file, or 'package.module:Name' of an "
            "installed package.",
        ),
    ],
)
def test_an_option_that_means_nothing_is_refused(options, message):
    with pytest.raises(ValueError) as caught:
        registry.surrogate("cvae", options)
    assert str(caught.value) == message


def test_a_surrogate_without_options_says_so():
    with pytest.raises(ValueError, match=r"^The surrogate 'gp' has no options\. Leave 'members' out\.$"):
        registry.surrogate("gp", {"members": 3})
