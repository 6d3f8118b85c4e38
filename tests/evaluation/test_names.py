"""Names say what an array of strings says, however they are kept."""

import numpy as np
import pytest

from ringtrue.evaluation import names as module
from ringtrue.evaluation.names import Names

FEW = ["flite", "vits", "", "flite", "größe", "vits"]
MANY = [f"ü{i}" if i % 3 else f"u{i}" * (i % 5 + 1) for i in range(20)]


@pytest.fixture(params=["numbered", "spelled out"], autouse=True)
def _kept(request, monkeypatch):
    """Small pieces; and every column held once as numbers, once as text."""
    monkeypatch.setattr(module, "_PIECE", 4)
    monkeypatch.setattr(module, "_BLOCK", 8)
    if request.param == "spelled out":
        monkeypatch.setattr(module, "_FEW", 0)


@pytest.mark.parametrize("texts", [FEW, MANY])
def test_they_are_what_an_array_of_strings_is(texts) -> None:
    names, array = Names.of(texts), np.array(texts)
    assert names.tolist() == texts
    assert len(names) == len(texts)
    assert np.array_equal(np.asarray(names), array)
    for text in (*texts, "absent", "a longer text than any of them that are here, by far"):
        assert np.array_equal(names == text, array == text)
        assert np.array_equal(names != text, array != text)
    distinct, numbers = np.unique(array, return_inverse=True)
    assert names.distinct() == distinct.tolist()
    assert names.numbers().tolist() == numbers.tolist()
    assert names[3] == texts[3]
    for chosen in (array != texts[0], np.array([4, 1, 1]), slice(1, 4)):
        assert names[chosen].tolist() == array[chosen].tolist()
        assert names[chosen].distinct() == np.unique(array[chosen]).tolist()
    assert names[array == "absent"].distinct() == []
    assert [text for piece in names.pieces() for text in piece] == texts


@pytest.mark.parametrize("texts", [FEW, MANY])
def test_changing_them(texts) -> None:
    names = Names.of(texts)
    assert names.map(str.upper).tolist() == [text.upper() for text in texts]
    assert set(names.map(lambda text: "one").numbers().tolist()) == {0}
    mask = np.arange(len(texts)) % 2 == 0
    assert names.where(mask, "vits").tolist() == np.where(mask, "vits", np.array(texts)).tolist()
    assert (names == names.where(mask, "x")).tolist() == (~mask).tolist()


def test_places_and_repetitions() -> None:
    names = Names.of(MANY)
    assert Names.of(["absent", MANY[7], "", MANY[0]]).places_in(names).tolist() == [-1, 7, -1, 0]
    assert names.first_repeated() is None
    assert Names.of([*MANY, MANY[3], MANY[1]]).first_repeated() == len(MANY)
    assert Names.of(FEW).first_repeated() == 3


def test_names_of_different_length_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="6 names against 20"):
        _ = Names.of(FEW) == Names.of(MANY)


def test_names_that_are_no_utf8_survive() -> None:
    assert Names.of(["\udcff.wav", "b"]).tolist() == ["\udcff.wav", "b"]


def test_one_text_for_all() -> None:
    assert Names.repeat("dev", 3).tolist() == ["dev"] * 3
    assert len(Names.of([])) == 0
