"""What docs/training.md promises can be asked for, in just these words."""

import re
from pathlib import Path

import pytest

from ringtrue.config import load_config

PAGE = Path(__file__).parents[1] / "docs" / "training.md"


def rows():
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if found := re.match(r"\| (A\S+) \| (.*?) \| (.*?) ?\|$", line):
            named, ingredient, overrides = found.groups()
            recipe = re.search(r"\(`(\S+)`\)", ingredient)
            for words in re.findall(r"`([^`]+)`", overrides) or [""]:
                yield pytest.param(
                    recipe.group(1) if recipe else "baseline", words.split(), id=f"{named} {words}"
                )


def test_the_table_is_read():
    assert len(list(rows())) >= 28


@pytest.mark.parametrize(("recipe", "overrides"), rows())
def test_every_override_is_accepted_and_changes_the_recipe(recipe, overrides):
    assert (load_config(recipe, overrides) != load_config(recipe)) == any(
        override not in ("adversary.strength=0.1",) or recipe != "seed-hero" for override in overrides
    )
