"""Every way to name a corpus, on small trees of real files."""

import pytest

from ringtrue.data.corpora import CORPORA, load_corpus, load_samples
from ringtrue.data.corpora.mlaad_tiny import fetch
from ringtrue.data.splits import assign_splits
from ringtrue.data.trials import Trial, check_disjoint, write_manifest
from ringtrue.errors import CorpusError


@pytest.fixture(scope="module")
def clip(encode, speechlike):
    return encode("wav", speechlike(0.3))


@pytest.fixture
def mlaad_tiny(tmp_path, clip):
    """Two languages, 20 texts, 10 systems whose names have spaces, commas and brackets."""
    for language in ("en", "de"):
        for text in range(20):
            paths = [tmp_path / "original" / language / f"book_{text:02d}.wav"]
            for system in range(10):
                name = f"Sys. {system} (April 12th, 2025)"
                paths.append(tmp_path / "fake" / language / name / f"book_{text:02d}.wav")
            for path in paths:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(clip)
    return tmp_path


def test_mlaad_tiny_is_read_and_split_without_leaks(mlaad_tiny):
    trials = load_corpus(mlaad_tiny)
    check_disjoint(trials)
    splits = {
        split: [t for t in trials if t.split == split] for split in ("train", "dev", "test", "test_seen")
    }
    assert all(splits.values())
    assert not any(t.is_bonafide for t in splits["test_seen"])
    assert {t.system for t in splits["test_seen"]} <= {t.system for t in splits["train"]}
    assert len([t for t in trials if t.is_bonafide]) == 40
    assert trials[0].language in ("en", "de")
    assert len(load_samples(trials[0])) == 4_800


def test_a_split_is_the_same_every_time_and_for_any_order(mlaad_tiny):
    trials = load_corpus(mlaad_tiny)
    again = assign_splits(trials[::-1])
    assert {t.id: t.split for t in again} == {t.id: t.split for t in assign_splits(trials)}
    assert {t.id: t.split for t in assign_splits(trials, seed=1)} != {t.id: t.split for t in trials}


def test_both_sides_of_a_text_are_on_one_side_of_the_split(mlaad_tiny):
    """A fake of a training text never tests, and a fake of a test text never trains."""
    side = {}
    for trial in load_corpus(mlaad_tiny):
        place = trial.split.removesuffix("_seen")
        assert side.setdefault(trial.source_utterance, place) == place


@pytest.mark.parametrize(("speakers", "systems"), [(3, 3), (3, 10), (5, 4), (10, 3)])
def test_every_side_gets_both_labels_from_three_of_each_on(speakers, systems):
    people = [Trial(f"h{i}", "", "bonafide", speaker=f"p{i % speakers}") for i in range(4 * speakers)]
    machines = [Trial(f"m{i}", "", "spoof", system=f"s{i % systems}") for i in range(60 * systems)]
    for seed in range(20):
        sides = {(t.split, t.label) for t in assign_splits([*people, *machines], seed)}
        assert sides >= {
            (split, label) for split in ("train", "dev", "test") for label in ("bonafide", "spoof")
        }


def test_speakers_split_where_they_are_known():
    trials = [
        Trial(f"{s}-{i}", "", "bonafide", speaker=f"p{s}", source_utterance=f"u{s}-{i}")
        for s in range(10)
        for i in range(4)
    ]
    trials += [Trial(f"f{i}", "", "spoof", system=f"s{i % 8}", speaker=f"p{i % 10}") for i in range(200)]
    placed = assign_splits(trials)
    by_speaker = {}
    for trial in placed:
        by_speaker.setdefault(trial.speaker, set()).add(trial.split.removesuffix("_seen"))
    assert all(len(splits) == 1 for splits in by_speaker.values())


def test_a_folder_of_two_labels(tmp_path, clip):
    for name in [f"bonafide/p{i}/{j}.wav" for i in range(8) for j in range(2)] + [
        f"spoof/sys {i}/{j}.wav" for i in range(8) for j in range(12)
    ]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(clip)
    (tmp_path / "bonafide" / "notes.txt").write_text("not audio")
    trials = load_corpus(tmp_path)
    assert {t.speaker for t in trials if t.is_bonafide} == {f"p{i}" for i in range(8)}
    assert {t.split for t in trials} >= {"train", "dev", "test"}


def test_a_manifest_and_a_folder_with_one(tmp_path, clip):
    (tmp_path / "a.wav").write_bytes(clip)
    rows = [
        Trial("a", "a.wav", "bonafide", split="test"),
        Trial("b", "a.wav", "spoof", system="s", split="test"),
    ]
    write_manifest(tmp_path / "manifest.tsv", rows)
    assert load_corpus(tmp_path) == load_corpus(tmp_path / "manifest.tsv")
    assert len(load_samples(load_corpus(tmp_path)[0])) == 4_800


def test_what_is_no_corpus_says_what_is(tmp_path):
    with pytest.raises(CorpusError, match="did you mean 'starter-small'"):
        load_corpus("starter-smal")
    with pytest.raises(CorpusError, match=r"has bonafide/ and spoof/<system>/"):
        load_corpus(tmp_path)
    (tmp_path / "original").mkdir()
    (tmp_path / "fake").mkdir()
    with pytest.raises(CorpusError, match="0 human and 0 machine clips"):
        load_corpus(tmp_path)


def test_a_hub_that_cannot_be_reached_is_one_line(tmp_path, monkeypatch):
    import huggingface_hub

    def refuse(*arguments, **options):
        raise ConnectionError("no route\nto the hub")

    monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_tree", refuse)
    with pytest.raises(
        CorpusError, match="cannot be fetched .no route.* A copy on disk works without"
    ) as caught:
        fetch(tmp_path, lambda line: None)
    assert "\n" not in str(caught.value)


LOCAL = [name for name, corpus in CORPORA.items() if corpus.is_local]


@pytest.mark.parametrize("name", LOCAL)
def test_a_local_corpus_without_its_folder_says_how_to_name_it(name, tmp_path):
    with pytest.raises(
        CorpusError, match=rf"{name}: its folder is not named; write {name}:FOLDER. It needs .* from"
    ):
        load_corpus(name)
    with pytest.raises(CorpusError, match=rf"{name}: .*gone does not exist; write {name}:FOLDER"):
        load_corpus(f"{name}:{tmp_path / 'gone'}")


@pytest.mark.parametrize("name", [name for name in LOCAL if name != "table"])
def test_an_empty_folder_is_an_error_that_says_what_should_be_there(name, tmp_path):
    with pytest.raises(CorpusError, match=r"holds|needs"):
        load_corpus(f"{name}:{tmp_path}")


def test_an_unknown_option_names_those_there_are(tmp_path):
    with pytest.raises(CorpusError, match=r"mlaad takes no option \['lang'\]; accepted: languages"):
        load_corpus(f"mlaad:{tmp_path}?lang=en")
    with pytest.raises(CorpusError, match=r"in-the-wild takes no option \['a', 'b'\]; accepted: none"):
        load_corpus(f"in-the-wild:{tmp_path}?a=1&b=2")
    with pytest.raises(CorpusError, match="did you mean 'mlaad'.*Accepted: NAME"):
        load_corpus(f"mlad:{tmp_path}")


def test_joined_corpora_keep_their_splits_and_get_unique_ids(tmp_path, clip):
    for half in ("a", "b"):
        (tmp_path / half).mkdir()
        (tmp_path / half / "x.wav").write_bytes(clip)
        label = "real" if half == "a" else "fake"
        (tmp_path / half / f"{half}.csv").write_text(f"path,label,split\nx.wav,{label},test\n")
    trials = load_corpus(f"table:{tmp_path}/a/a.csv+table:{tmp_path}/b/b.csv")
    assert [(t.id, t.label, t.split) for t in trials] == [
        ("a/x.wav", "bonafide", "test"), ("b/x.wav", "spoof", "test"),
    ]  # fmt: skip


def test_a_plus_in_a_path_is_a_plus(tmp_path, clip):
    (tmp_path / "my+files").mkdir()
    (tmp_path / "my+files" / "x.wav").write_bytes(clip)
    (tmp_path / "my+files" / "m.csv").write_text("path,label,split\nx.wav,real,test\n")
    assert len(load_corpus(tmp_path / "my+files" / "m.csv")) == 1


def test_groups_hang_together_over_speakers_and_texts():
    """One reader reads two texts; machines without a voice of their own speak them; another reads one of them, too."""
    trials = [
        *(
            Trial(f"h{s}{i}", "", "bonafide", speaker=f"p{s}", source_utterance=f"u{s}{i}")
            for s in range(12) for i in range(2)
        ),
        Trial("shared", "", "bonafide", speaker="p0", source_utterance="u10"),
        *(
            Trial(f"m{s}{i}{k}", "", "spoof", system=f"s{k}", source_utterance=f"u{s}{i}")
            for s in range(12) for i in range(2) for k in range(6)
        ),
    ]  # fmt: skip
    placed = assign_splits(trials)
    side = {}
    for trial in placed:
        reader = f"p{trial.source_utterance[1:-1]}"
        reader = "p0" if reader == "p1" else reader  # tied to p0 by the text that both read
        side.setdefault(reader, set()).add(trial.split.removesuffix("_seen"))
    assert len(side) == 11
    assert all(len(splits) == 1 for splits in side.values())
    assert len({split for splits in side.values() for split in splits}) == 3


@pytest.mark.parametrize("name", CORPORA)
def test_every_corpus_says_what_it_is_and_needs(name):
    assert CORPORA[name].summary
    assert CORPORA[name].needs
    assert CORPORA[name].origin
