"""What a campaign file says of a proposer."""

from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from theoros.models import registry
from theoros.models.options import OptionError
from theoros.models.proposers.options import OPTIONS

DOCS = Path(__file__).parents[2] / "docs" / "models.md"


def leaf(whole, path):
    for part in path.split("."):
        assert is_dataclass(whole)
        assert part in {field.name for field in fields(whole)}
        whole = getattr(whole, part)
    return whole


EVERY = [(name, option) for name, options in OPTIONS.items() for option in options]


@pytest.mark.parametrize(("name", "option"), EVERY)
def test_an_option_sets_the_field_that_it_names_and_nothing_else(name, option):
    path, plain = OPTIONS[name][option].field, registry.proposer(name)
    old = leaf(plain, path)
    new = "cpu" if option == "device" else old / 2 if isinstance(old, float) else old + 1
    changed = registry.proposer(name, {option: new})
    assert leaf(changed, path) == new
    assert changed != plain
    assert registry.proposer(name, {option: old or "cpu"}) == (plain if old else changed)
    assert changed.name == name, "as it stands in the database"


def test_the_proposers_with_options_are_those_whose_classes_take_them():
    assert {name for name in registry.PROPOSERS if hasattr(registry.proposer(name), "with_options")} == set(OPTIONS)


def test_without_options_a_proposer_is_the_same_as_ever():
    for name in registry.PROPOSERS:
        assert registry.proposer(name, {}) == registry.proposer(name)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "genetic",
            {"generatons": 3},
            "The proposer 'genetic' has no option 'generatons'. Did you mean 'generations'?",
        ),
        ("genetic", {"xyz": 3}, "It has generations, offspring, population, mutation_rate, seconds."),
        ("genetic", {"generations": 0}, "input should be greater than or equal to 1 (got 0). Or leave it out."),
        ("genetic", {"generations": True}, "input should be a valid integer (got True). Or leave it out."),
        ("genetic", {"population": "100"}, "input should be a valid integer (got '100'). Or leave it out."),
        ("genetic", {"mutation_rate": 1.5}, "input should be less than or equal to 1 (got 1.5). Or leave it out."),
        ("gflownet", {"sharpness": float("nan")}, "input should be a finite number (got nan). Or leave it out."),
        ("flow3d", {"device": "gpu"}, "(got 'gpu')"),
        ("random", {"n": 3}, "The proposer 'random' has no options. Leave 'n' out."),
    ],
)
def test_a_mistake_is_told_before_anything_is_built(name, options, message):
    with pytest.raises(OptionError) as error:
        registry.check_proposer_options(name, options)
    assert message in str(error.value)
    with pytest.raises(ValueError):
        registry.proposer(name, options)


def test_a_time_is_written_as_everywhere_in_the_file():
    assert registry.proposer("genetic", {"seconds": "2 min"}).seconds == 120.0


def test_the_manual_lists_every_option_with_its_default():
    manual = DOCS.read_text(encoding="utf-8")
    section = manual.split("## Options of proposers")[1].split("\n## ")[0]
    told = {}
    for row in section.splitlines():
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        if row.startswith("| `"):
            told |= {(name.strip(" `"), cells[1].strip("`")): cells[2] for name in cells[0].split(",")}
    for name, option in EVERY:
        default = leaf(registry.proposer(name), OPTIONS[name][option].field)
        shown = "" if default is None else f"{default:,}" if isinstance(default, int) else f"{default:g}"
        assert told.pop((name, option)) == shown
    assert told == {}
