"""Whose a folder is that a corpus is built in."""

import pytest

from ringtrue.data.corpora.building import claim, identity_of
from ringtrue.errors import CorpusError


def test_a_build_that_was_killed_while_it_claimed_its_folder_goes_on(tmp_path):
    left = tmp_path / ".ringtrue-part-build.x1.json"
    left.write_text('{"cor')
    claim(tmp_path, {"corpus": "zoo", "seed": 1})
    assert identity_of(tmp_path) == {"corpus": "zoo", "seed": 1}
    assert not left.exists()


def test_a_folder_that_holds_anything_else_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("!")
    with pytest.raises(CorpusError, match="is not empty and not a starter corpus"):
        claim(tmp_path, {"corpus": "starter-small"})
    (tmp_path / "thesis.txt").unlink()
    claim(tmp_path, {"corpus": "starter-small"})
    with pytest.raises(CorpusError, match="built with other settings"):
        claim(tmp_path, {"corpus": "starter-full"})
