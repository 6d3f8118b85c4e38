"""Packages' own file formats -> utterances and sentences, and which split each sentence is in."""

from __future__ import annotations

from collections import Counter
from importlib import resources

import pytest
from starter_world import ENGINES, RECIPE, make_festvox_ru, sentence

from ringtrue.data.corpora.starter import plan, texts
from ringtrue.data.corpora.starter.human import ASTERISK, FESTVOX_RU, SPEAKERS, utterances
from ringtrue.data.corpora.starter.recipe import MINIMUM, RECIPES
from ringtrue.data.trials import SPLITS, Trial


def test_game_dialogue_is_read_by_role(debian):
    small, big = utterances("fillets_cs_m", debian), utterances("fillets_cs_v", debian)
    assert len(small) == len(big) == 12
    first = next(item for item in small if item.name == "fillets_cs_m-reef-ree-m-4")
    assert first.text == sentence(4, "cs")
    assert first.sentence == texts.sentence_key("fillets", sentence(4, "en"))
    assert first.path.is_file()


def test_stamp_captions_are_read_by_language(debian):
    found = utterances("tuxpaint_el", debian)
    assert len(found) == 24
    assert {item.text for item in found} == {sentence(number, "el") for number in range(30, 54)}
    assert {item.language for item in found} == {"el"}


def test_festvox_prompts_lose_their_stress_marks(tmp_path):
    make_festvox_ru(tmp_path / FESTVOX_RU)
    prompts = tmp_path / FESTVOX_RU / "etc/txt.done.data"
    prompts.write_text('( ru_0060 "Он+а завела, прядь вол+ос." )\n( ru_9999 "нет записи" )', encoding="utf-8")
    found = utterances("festvox_ru_shmyrev", tmp_path)
    assert [item.text for item in found] == ["Она завела, прядь волос."]


def test_asterisk_prompts_have_words_from_our_table(tmp_path):
    folder = tmp_path / ASTERISK / "en_US_f_Allison"
    rows = [row.split("\t") for row in _transcripts() if row.startswith("en_US_f_Allison/")]
    path, language, text = rows[0]
    (folder / path.partition("/")[2]).parent.mkdir(parents=True, exist_ok=True)
    (folder / f"{path.partition('/')[2]}.g722").write_bytes(b"\x00" * 100)
    found = utterances("asterisk_en_allison", tmp_path)
    assert [(item.text, item.language) for item in found] == [(text, language)]


def test_the_transcript_table_is_small_and_serves_the_recipes():
    rows = _transcripts()
    assert sum(len(row.encode()) + 1 for row in rows) < 200_000
    assert rows[0] == "path\tlanguage\ttext"
    assert all(len(row.split("\t")) == 3 and row.split("\t")[2].strip() for row in rows[1:])
    languages = Counter(row.split("\t")[1] for row in rows[1:])
    for split, speakers in RECIPES["small"].bonafide.items():
        for name, count in speakers.items():
            if name.startswith("asterisk"):
                language = SPEAKERS[name].language
                assert languages[language] >= count
                places = [row.split("\t")[0].partition("/")[2] for row in rows if f"\t{language}\t" in row]
                assert {texts.split_of(texts.sentence_key("asterisk", place)) for place in places} == {split}


def test_speakers_whose_package_is_missing_give_nothing(tmp_path):
    assert {name: utterances(name, tmp_path) for name in SPEAKERS} == {name: [] for name in SPEAKERS}


def test_a_sentence_is_in_one_split_in_every_language_and_mouth(debian):
    said: dict[str, set[str]] = {}
    for line in texts.readable_lines(debian, ["en", "cs", "nl", "fr", "es"]):
        said.setdefault(line.text.split()[-1], set()).add(texts.split_of(line.sentence))
    assert len(said) > 30
    assert all(len(splits) == 1 for splits in said.values())


def test_shares_are_kept_and_add_up():
    for family, shares in texts.SHARES.items():
        assert sum(shares) == pytest.approx(1)
        draws = Counter(texts.split_of(f"{family}:{number}") for number in range(4_000))
        for split, share in zip(("train", "dev", "test"), shares, strict=True):
            assert draws[split] / 4_000 == pytest.approx(share, abs=0.04)


def test_words_that_two_splits_share_are_dropped_from_both():
    names = [f"tuxpaint:{n}" for n in range(50)]
    train = next(name for name in names if texts.split_of(name) == "train")
    test = next(name for name in names if texts.split_of(name) == "test")
    items = [(train, "A dog."), (test, "a DOG"), (test, "A cat."), (test, "a cat!")]
    assert texts.drop_shared(items, lambda item: item) == items[2:]


def test_lua_escapes_and_missing_translations(tmp_path):
    script = tmp_path / texts.FILLETS / "script" / "a" / "dialogs_cs.lua"
    script.parent.mkdir(parents=True)
    script.write_text(
        'dialogId("a-m-x", "font", "He said \\"no\\".")\ndialogStr("Řekl \\"ne\\".")\n'
        'dialogId("a-m-y", "font", "Not translated.")\n\n'
        'dialogId("a-m-z", "font", "Yes.")\ndialogStr("Ano.")\n',
        encoding="utf-8",
    )
    found = dict(texts.dialogues(tmp_path, "cs"))
    assert {name: line.text for name, line in found.items()} == {"a/a-m-x": 'Řekl "ne".', "a/a-m-z": "Ano."}
    assert found["a/a-m-x"].sentence == texts.sentence_key("fillets", 'He said "no".')


def test_caption_variants_give_way_to_the_plain_language(tmp_path):
    path = tmp_path / "coin.txt"
    path.write_text("A coin.\npt_BR.utf8=Moeda BR.\npt.utf8=Moeda.\nsr@latin.utf8=Novčić.\nde.utf8=\nx\n")
    found = texts.captions(path)
    assert {language: line.text for language, line in found.items()} == {
        "en": "A coin.",
        "pt": "Moeda.",
        "sr": "Novčić.",
    }


@pytest.mark.parametrize("size", RECIPES)
def test_a_recipe_keeps_the_promise_of_unseen_speakers_and_systems(size):
    recipe = RECIPES[size]
    sides: dict[str, set[str]] = {split: set() for split in SPLITS}
    voices: dict[str, set[tuple[str, str]]] = {split: set() for split in SPLITS}
    for row in (*recipe.copies, *recipe.speech):
        sides[row.split].add(row.engine)
    for row in recipe.speech:
        voices[row.split] |= {(row.engine, voice) for voice in row.voices or ("any",)}
    assert not sides["train"] & sides["dev"]
    assert not (sides["train"] | sides["dev"]) & sides["test"]
    assert sides["test_seen"] <= sides["train"]
    assert not voices["train"] & voices["test_seen"]
    people = [name for group in recipe.bonafide.values() for name in group]
    assert len(people) == len(set(people))
    for split, (speakers, systems) in MINIMUM.items():
        assert len(recipe.bonafide[split]) >= speakers
        assert len(sides[split]) >= systems


def test_every_human_clip_gets_a_twin_before_any_gets_two():
    humans = [
        Trial(id=f"{name}{n}", audio="", label="bonafide", speaker=name, split="train")
        for name in "abc"
        for n in range(3)
    ]
    made = plan.plan_spoof(
        RECIPE, humans, [], {"copy_a": ENGINES["copy_a"], "copy_b": ENGINES["copy_b"]}, 0, "x"
    )
    sources = [trial.source_utterance for trial in made if trial.split == "train"]
    assert len(sources) == 8
    assert len(set(sources)) == 8
    assert Counter(source[0] for source in sources[:3]) == {"a": 1, "b": 1, "c": 1}


def _transcripts() -> list[str]:
    table = resources.files("ringtrue.data.corpora.starter").joinpath("asterisk_transcripts.tsv")
    return [row for row in table.read_text(encoding="utf-8").splitlines() if not row.startswith("#")]
