"""The tracer in the wheel: it loads, names, refuses, gives way to a user's own, and its card says what it is worth."""

import json
import shutil

import numpy as np
import pytest

from ringtrue.cli import main
from ringtrue.inference.runtime import Detector
from ringtrue.inference.source import (
    NAMED,
    UNKNOWN,
    Tracer,
    find_tracer,
    installed_tracer,
    shipped_tracer,
    trace_recording,
)


@pytest.fixture(scope="module")
def shipped():
    return Tracer(shipped_tracer())


def test_it_is_small_and_knows_eight_families_of_each(shipped):
    assert shipped_tracer().stat().st_size < 2_000_000
    classes = {name: set(shipped.card["attributes"][name]["classes"]) for name in NAMED}
    assert len(classes["acoustic_model"] - {"none"}) >= 8  # none: copies of human speech
    assert len(classes["vocoder"]) >= 8
    assert {one.name for one in shipped.known if not one.is_enrolled} == classes["system"]


def test_its_card_is_complete(shipped):
    card = shipped.card
    for row in card["figures"]:
        shown = {"f1"} if row["question"].startswith("names") else {"fpr95", "auroc", "unknown_rejected"}
        for name in shown:
            assert 0 <= row[f"{name}_low"] <= row[name] <= row[f"{name}_high"] <= 1
            assert row["clusters"] > 1
    asked = {(row["attribute"], row["question"][:5]) for row in card["figures"]}
    assert asked == {(name, kind) for name in NAMED for kind in ("names", "unkno")}
    trained = card["trained_on"]
    assert sum(row["clips"] for row in trained["sources"]) == trained["clips"] + trained["people"]
    assert all(row["licence"] and row["source"] for row in trained["sources"])
    assert "one voice" in card["limits"].replace("\n", " ")
    assert card["provenance"]["command"].startswith("python experiments/ship_tracer.py")
    assert "/" not in card["provenance"]["command"].replace("experiments/ship_tracer.py", "")
    assert 0 < card["rejection"]["unknown_rejected"] < 1
    assert 0 < card["least_probability"] < 1
    assert all(head["temperature"] > 0 for head in card["attributes"].values())


def test_it_lets_in_what_lies_at_a_system_and_refuses_what_lies_between_or_far(shipped, monkeypatch):
    """By its own rule, whatever the network hears: positions of its card stand for clips."""
    one, other = shipped.known[0], shipped.known[1]

    def heard(position):
        apart = position - np.stack([known.position for known in shipped.known])
        system = -0.5 * np.square(apart).sum(1)[None]
        outputs = {"embedding": position[None].astype(np.float32), "system": system}
        for name in NAMED[1:]:
            classes = shipped.card["attributes"][name]["classes"]
            of = np.array([getattr(known, name) for known in shipped.known])
            outputs[name] = np.array([[np.logaddexp.reduce(system[0, of == c]) for c in classes]])
        monkeypatch.setattr(shipped, "_run", lambda windows: outputs)
        return shipped.trace([np.ones(64_000, np.float32)])

    at = heard(one.position)
    assert (at.is_known, at.system, at.acoustic_model, at.vocoder) == (
        True, one.name, one.acoustic_model, one.vocoder,
    )  # fmt: skip
    assert not heard(one.position + 1000).is_known
    monkeypatch.setitem(shipped.card, "threshold", 1e9)
    monkeypatch.setitem(shipped.card, "least_probability", 0.6)
    between = heard((one.position + other.position) / 2)
    assert (between.is_known, between.system, between.probabilities) == (False, UNKNOWN, {})


def test_check_names_a_source_out_of_the_box(tiny_onnx, speech_path):
    verdict = Detector(tiny_onnx, threshold=1e6).check(speech_path)
    assert verdict.decision == "spoof"
    assert verdict.source["tracer"] == find_tracer().sha256
    assert len(verdict.source["nearest"]) == 3
    assert not verdict.warnings or not any("not traced" in line for line in verdict.warnings)


def test_a_users_own_goes_first_and_enrolled_generators_never_lie_in_the_package(
    speech_path, encode, tmp_path
):
    assert Tracer.installed().sha256 == Tracer(shipped_tracer()).sha256
    assert Tracer.installed().enrolled.path.parent == installed_tracer().parent
    own = installed_tracer()
    own.parent.mkdir(parents=True)
    shutil.copy(shipped_tracer(), own)
    assert Tracer.installed().enrolled.path == own.with_suffix(".enrolled.safetensors")
    own.write_bytes(b"a user's")
    with pytest.raises(Exception, match=r"tracer\.onnx"):
        Tracer.installed()


def test_trace_file_names_it_and_one_that_cannot_be_read_costs_only_itself(speech_path, tmp_path, capsys):
    broken = tmp_path / "broken.flac"
    broken.write_bytes(b"fLaC no")
    assert main(["trace", str(speech_path)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"{speech_path}: ")
    assert printed.count("    near ") == 3
    assert main(["trace", "--json", str(broken), str(speech_path), str(tmp_path / "none.wav")]) == 2
    told = capsys.readouterr()
    (line,) = told.out.splitlines()
    assert json.loads(line)["tracer"] == find_tracer().sha256
    assert "broken.flac" in told.err and "none.wav" in told.err
    assert main(["trace", "name", str(speech_path)]) == 0


def test_of_a_long_recording_the_beginning_is_heard(shipped, speechlike, encode, tmp_path, monkeypatch):
    monkeypatch.setattr("ringtrue.inference.source.MOST_WINDOWS", 2)
    wave = speechlike(12.0, 4)
    for name, some in (("long", wave), ("short", wave[: 7 * 16_000])):
        (tmp_path / f"{name}.flac").write_bytes(encode("flac", some))
    long, short = (trace_recording(shipped, tmp_path / f"{name}.flac") for name in ("long", "short"))
    assert long == short
