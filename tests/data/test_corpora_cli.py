"""`ringtrue corpus list`, `prepare` and `describe` as a user meets them."""

import pytest

from ringtrue import cli
from ringtrue.data.corpora import CORPORA
from ringtrue.data.corpora.contents import contents
from ringtrue.data.trials import Trial, write_manifest


@pytest.fixture
def run(capsys):
    def run(*words):
        code = cli.main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return run


@pytest.fixture
def corpus(tmp_path, encode, speechlike):
    """Two people and one machine; telephone sound, a truncated FLAC, a file of text."""
    rows = []
    files = {
        "h0.wav": encode("wav", speechlike(1.0, rate_hz=8_000), 8_000),
        "h1.flac": encode("flac", speechlike(2.0)),
        "m0.mp3": encode("mp3", speechlike(1.0)),
        "m1.flac": encode("flac", speechlike(2.0))[:20_000],
        "m2.wav": b"this is text",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        human = name.startswith("h")
        rows.append(
            Trial(
                name, name, "bonafide" if human else "spoof", system="" if human else "vits x",
                speaker=name[:2] if human else "", language="cs" if human else "", split="test",
                codec="gsm" if name == "h0.wav" else "", duration_s=4.0 if name == "h1.flac" else 0.0,
            )
        )  # fmt: skip
    write_manifest(tmp_path / "manifest.tsv", rows)
    return tmp_path


def test_list_shows_what_each_needs_and_where_it_comes_from(run):
    code, out, _ = run("corpus", "list")
    assert code == 0
    for name, corpus in CORPORA.items():
        assert f"{name:16} {corpus.summary}\n" in out
        assert f"needs: {corpus.needs}\n" in out
        assert f"from:  {corpus.origin}\n" in out
    assert "NAME[:FOLDER][?OPTION=VALUE" in out


def test_describe_counts_what_is_known_without_decoding(run, corpus):
    code, out, err = run("corpus", "describe", corpus)
    human, machine = out.splitlines()[1:]
    assert code == 0
    assert human.split()[:6] == ["test", "bonafide", "2", "2", "0.00", "4.0/4.0/4.0"]
    assert human.endswith("cs 2 | gsm 1, ? 1 | ? 2")
    assert machine.endswith("3        0    0.00                ?  ? 3 | ? 3 | ? 3")
    assert "UNKNOWN SYSTEMS: 1 systems with 3 clips" in err
    assert "m1.flac" not in err


def test_describe_with_audio_probes_rates_codings_and_damage(run, corpus):
    code, out, err = run("corpus", "describe", corpus, "--audio")
    human, machine = out.splitlines()[1:]
    assert code == 0
    assert human.endswith("cs 2 | gsm 1, flac 1 | 8000 1, 16000 1")
    assert "1.0/2.5/4.0" in human
    assert "mp3 1" in machine
    assert "? 1" in machine
    assert "ringtrue: m1.flac: ends early: " in err
    assert "ringtrue: m2.wav: " in err


def test_probing_is_limited_and_repeatable(corpus):
    from ringtrue.data.corpora import load_corpus

    trials = load_corpus(corpus)
    one, again = contents(trials, probed=1), contents(trials[::-1], probed=1)
    assert [group.rates for group in one] == [group.rates for group in again]
    assert all(group.rates["?"] >= group.trials - 1 for group in one)


def test_prepare_takes_the_folder_either_way(run, tmp_path, encode, speechlike):
    clip = encode("wav", speechlike(0.1))
    for language in ("en", "de"):
        for system in range(4):
            folder = tmp_path / "fake" / language / f"sys, {system} (2025)"
            folder.mkdir(parents=True)
            rows = ["path|original_file|language|model_name|architecture"]
            for number in range(5):
                (folder / f"{number}.wav").write_bytes(clip)
                rows.append(
                    f"./{folder.relative_to(tmp_path)}/{number}.wav|o{number}|{language}|s{system}|arch"
                )
            (folder / "meta.csv").write_text("\n".join(rows))
    code, _, err = run("corpus", "prepare", "mlaad", tmp_path)
    assert code == 0
    assert "simpler_meta.csv written in 8 model folders" in err
    written = sorted(tmp_path.rglob("simpler_meta.csv"))
    assert len(written) == 8
    assert written[0].read_text().splitlines()[:2] == [
        "file_path,model,architecture", '"fake/de/sys, 0 (2025)/0.wav",s0,arch',
    ]  # fmt: skip
    for path in written:
        path.unlink()
    assert run("corpus", "prepare", f"mlaad:{tmp_path}?languages=de")[1].endswith("trials\n")
    assert len(list(tmp_path.rglob("simpler_meta.csv"))) == 4
    code, _, err = run("corpus", "prepare", "mlaad", tmp_path / "gone")
    assert (code, "gone does not exist; write mlaad:FOLDER" in err) == (2, True)
