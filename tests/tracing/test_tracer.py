"""From clips to a torch-free tracer: distilled, exported, asked, extended by enrolment; all on miniature systems."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from ringtrue.cli import main
from ringtrue.errors import CheckpointError, CorpusError
from ringtrue.inference.enroll import enroll
from ringtrue.inference.prototypes import Enrolled, make_prototype, nearest
from ringtrue.inference.runtime import Detector
from ringtrue.inference.source import NAMED, UNKNOWN, Tracer, prepare
from ringtrue.tracing.distil import distil, load_detector, trunk_statistics
from ringtrue.tracing.export import export_tracer, set_on

BARK = "suno/bark"


@pytest.fixture(scope="module")
def made(tmp_path_factory, sounds, checkpoint_path, miniature):
    trials = miniature.trials()
    side = np.array([trial.split for trial in trials])
    unseen = np.array([trial.system == "f5-tts" for trial in trials])
    encoder = load_detector(checkpoint_path)
    for skipped in (1, 2, 3):
        encoder.trunk.blocks[skipped] = (
            torch.nn.Identity()
        )  # most of the time goes into tracing, block by block
    load = lambda trial: sounds[trial.id]  # noqa: E731
    statistics = trunk_statistics(encoder, trials, load, print)
    train = np.flatnonzero(side == "train")
    result = distil(encoder, statistics, trials, train, None)
    path = tmp_path_factory.mktemp("tracer") / "tracer.onnx"
    dev = side == "dev"
    held_out = set_on(result, trials, np.flatnonzero(dev & ~unseen), np.flatnonzero(dev & unseen))
    export_tracer(result, trials, train, held_out, {"note": "kept"}, path)
    return path, result, trials, train


@pytest.fixture(scope="module")
def checkpoint_path(tmp_path_factory):
    from ringtrue.models import checkpoint
    from ringtrue.models.registry import create

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("detector") / "tiny.safetensors"
    card = checkpoint.ModelCard("tiny", "prosody_encoder", {"size": "XS", "front_end": "mel"})
    checkpoint.save(path, create("prosody_encoder", **card.arguments).eval(), card)
    return path


@pytest.fixture
def tracer(made, tmp_path):
    return Tracer(made[0], enrolled=tmp_path / "enrolled.safetensors")


def clips_of(sounds, system):
    return [sounds[f"{system}/{number}"] for number in range(12)]


def test_onnx_hears_what_torch_hears(made, tracer, sounds):
    _, result, trials, train = made
    waves = np.stack([prepare(sounds[trials[place].id]) for place in train[:4]])
    assert tracer.embed(waves) == pytest.approx(result.embeddings[train[:4]], abs=2e-3)


def test_it_names_what_it_learned(tracer, sounds, miniature):
    """Even an untrained trunk tells such systems apart; the head has learned on the first six clips of each."""
    right = []
    for system in miniature.systems[:3]:
        source = tracer.trace(clips_of(sounds, system)[9:])
        right.append(source.nearest[0].name == system)
        assert len(source.nearest) == 3
        assert source.nearest[0].exemplar.startswith(source.nearest[0].name)
        if source.is_known:
            assert set(source.probabilities) == set(NAMED)
            assert all(0 < chance <= 1 for chance in source.probabilities.values())
        else:
            assert source.acoustic_model == source.vocoder == UNKNOWN
            assert not source.probabilities
    assert sum(right) >= 2


def test_what_is_far_is_unknown(tracer):
    noise = 0.1 * np.random.default_rng(0).standard_normal(48_000).astype(np.float32)
    source = tracer.trace([noise, np.sign(noise) * 0.1])
    assert (source.is_known, source.system, source.acoustic_model, source.vocoder) == (False, *3 * [UNKNOWN])
    first = source.nearest[0]
    assert first.distance > tracer.card["threshold"]
    assert first.percentile == 100 * np.mean(np.array(tracer.card["known_distances"]) < first.distance)


def test_enrolment_names_a_new_generator_and_forgetting_unnames_it(made, tracer, tmp_path, encode, miniature):
    def hiss(seed):
        return 0.1 * np.random.default_rng(seed).standard_normal(24_000).astype(np.float32)

    assert not tracer.trace([hiss(number) for number in range(4)]).is_known
    told, paths = [], []
    for number in range(6):
        path = tmp_path / f"{number}.flac"
        path.write_bytes(encode("flac", hiss(200 + number)))
        paths.append(path)
    broken = tmp_path / "broken.flac"
    broken.write_bytes(b"fLaC no")
    prototype = enroll(tracer, "new voice", [*paths, broken], told.append, "flow", "vocos")
    assert (prototype.clips, prototype.is_enrolled) == (6, True)
    assert any("left out" in line and "broken" in line for line in told)
    again = Tracer(made[0], enrolled=tmp_path / "enrolled.safetensors")
    source = again.trace([hiss(300 + number) for number in range(4)])
    assert source.nearest[0].name == "new voice"
    assert source.nearest[0].is_enrolled
    assert (source.system, source.acoustic_model, source.vocoder) == ("new voice", "flow", "vocos")
    assert not source.probabilities
    with pytest.raises(CheckpointError, match="5 to 20 clips"):
        enroll(again, "too few", paths[:4], told.append)
    with pytest.raises(CheckpointError, match="no generator 'x' is enrolled; enrolled: new voice"):
        again.enrolled.remove("x")
    again.enrolled.remove("new voice")
    left = Tracer(made[0], enrolled=again.enrolled.path).known
    assert [one.name for one in left] == sorted(miniature.systems[:3])


def test_doubts_about_enrolled_clips_are_said(tracer, tmp_path, encode, sounds, miniature):
    told, paths = [], []
    for number in range(21):  # of three systems, which lie apart
        path = tmp_path / f"{number}.wav"
        path.write_bytes(encode("wav", sounds[f"{miniature.systems[number % 3]}/{number // 3}"]))
        paths.append(path)
    tracer.card["threshold"] = 0.0  # nothing is this near
    assert enroll(tracer, "mixture", paths, told.append).clips == 21
    assert any("21 clips: more than 20 help little" in line for line in told)
    assert any("mixture: its clips lie further from each other" in line for line in told)
    enroll(tracer, "mixture", paths[:5], told.append)  # replaces the one of that name
    assert [one.clips for one in tracer.known if one.is_enrolled] == [5]


def test_a_prototype_is_drawn_to_the_middle():
    embeddings = np.arange(20, dtype=np.float32).reshape(10, 2)
    centre = np.array([1.0, 1.0], np.float32)
    one = make_prototype("x", embeddings, centre, 5.0)
    assert one.position == pytest.approx((10 * embeddings.mean(0) + 5 * centre) / 15)
    other = make_prototype("y", embeddings + 100, centre, 5.0)
    assert [found.name for found, _ in nearest(embeddings.mean(0), [other, one])] == ["x", "y"]
    with pytest.raises(CheckpointError, match="needs a name"):
        make_prototype(" ", embeddings, centre, 5.0)


def test_enrolled_files_are_safetensors_and_their_faults_are_told(tmp_path):
    from safetensors.numpy import load_file

    path = tmp_path / "enrolled.safetensors"
    store = Enrolled(path, "a" * 64)
    made = make_prototype("x y", np.ones((5, 3), np.float32), np.zeros(3, np.float32), 5.0)
    store.add(made)
    assert load_file(path)["x y"].tolist() == [0.5, 0.5, 0.5]
    with pytest.raises(CheckpointError, match="another tracer"):
        Enrolled(path, "b" * 64)
    for damage in (path.read_bytes()[:40], b"", b"\xff" * 100):
        path.write_bytes(damage)
        with pytest.raises(CheckpointError, match="damaged"):
            Enrolled(path, "a" * 64)


def test_prepare_takes_level_silence_and_duration_away(speechlike):
    wave = speechlike(1.0, 3)
    padded = np.concatenate([np.zeros(16_000, np.float32), 0.1 * wave, np.zeros(8_000, np.float32)])
    one, two = prepare(wave), prepare(padded)
    assert one.shape == two.shape == (64_000,)
    assert np.sqrt(np.mean(one**2)) == pytest.approx(0.05, rel=1e-3)
    assert np.sqrt(np.mean(two**2)) == pytest.approx(0.05, rel=1e-2)
    assert np.isfinite(prepare(np.zeros(10, np.float32))).all()
    assert np.isfinite(prepare(np.full(1, 0.5, np.float32))).all()


def test_what_cannot_be_traced_with_is_refused(made, tmp_path, tiny_onnx, sounds, checkpoint_path):
    with pytest.raises(CheckpointError, match="is no tracer"):
        Tracer(tiny_onnx)
    with pytest.raises(CheckpointError, match="no model at"):
        Tracer(tmp_path / "none.onnx")
    _, result, trials, train = made
    with pytest.raises(CorpusError, match="keep whole systems out of training"):
        set_on(result, trials, train[:3], np.empty(0, np.int64))


def test_the_card_says_what_was_measured(tracer):
    card = tracer.card
    assert card["rejection"]["measured_on"].startswith("9 held-out clips of known and 6")
    assert len(card["known_distances"]) == 9
    assert all(head["temperature"] > 0 for head in card["attributes"].values())
    assert card["note"] == "kept"
    json.dumps(card, allow_nan=False)


def test_the_command_line_enrolls_lists_and_forgets(made, tmp_path, capsys, encode, miniature):
    path = tmp_path / "tracer.onnx"
    shutil.copy(made[0], path)
    (tmp_path / "clips").mkdir()
    for number in range(5):
        sound = encode("wav", miniature.render("f5-tts", 400 + number))
        (tmp_path / f"clips/{number}.wav").write_bytes(sound)
    tracer = ["--tracer", str(path)]
    assert main(["trace", "enroll", "F5", str(tmp_path / "clips"), *tracer, "--vocoder", "vocos"]) == 0
    assert main(["trace", "list", *tracer]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert any(line.startswith("F5 ") and "vocos" in line and "enrolled" in line for line in listed)
    assert sum("trained" in line for line in listed) == 3
    assert main(["trace", "forget", "F5", *tracer]) == 0
    assert main(["trace", "forget", "F5", *tracer]) == 2
    assert "no generator 'F5'" in capsys.readouterr().err
    assert main(["trace", "list", "--tracer", str(tmp_path / "none.onnx")]) == 2
    assert "trace train SETTINGS --detector" in capsys.readouterr().err


@pytest.fixture
def installed(made):
    from ringtrue.inference.source import installed_tracer

    path = installed_tracer()
    path.parent.mkdir(parents=True)
    shutil.copy(made[0], path)
    return path


def test_check_names_the_source_of_spoof_and_of_nothing_else(installed, tiny_onnx, speech_path, capsys):
    assert Detector(tiny_onnx, threshold=-1e6).check(speech_path).source is None
    verdict = Detector(tiny_onnx, threshold=1e6).check(speech_path)
    assert verdict.decision == "spoof"
    assert {"is_known", "acoustic_model", "vocoder", "probabilities", "nearest"} <= set(verdict.source)
    json.dumps(verdict.to_dict(), allow_nan=False)
    assert main(["check", str(speech_path), "--model", str(tiny_onnx), "--threshold", "1e6"]) == 1
    printed = capsys.readouterr().out
    assert "  source: " in printed
    for near in verdict.source["nearest"]:
        assert (
            f"    near {near['name']} as in {near['exemplar']}: {near['percentile']:.0f} % of known"
            in printed
        )


def test_check_names_what_was_enrolled_and_no_longer_what_was_forgotten(
    installed, tiny_onnx, tmp_path, capsys, encode, speechlike
):
    paths = []
    for number in range(6):
        hiss = 0.05 * np.random.default_rng(number).standard_normal(32_000).astype(np.float32)
        paths.append(str(tmp_path / f"{number}.flac"))
        (tmp_path / f"{number}.flac").write_bytes(encode("flac", speechlike(2.0, number) + hiss))
    check = ["check", paths[5], "--model", str(tiny_onnx), "--threshold", "1e6"]
    assert main(check) == 1
    assert "source: unknown" in capsys.readouterr().out
    assert main(["trace", "enroll", "hiss machine", *paths[:5], "--vocoder", "vocos"]) == 0
    assert main(check) == 1
    printed = capsys.readouterr().out
    assert "source: hiss machine, enrolled (acoustic model unknown, vocoder vocos)" in printed
    assert "    near hiss machine: " in printed
    assert main(["trace", "forget", "hiss machine"]) == 0
    assert main(check) == 1
    assert "source: unknown" in capsys.readouterr().out


def test_a_broken_tracer_costs_no_verdict(tiny_onnx, speech_path):
    from ringtrue.inference.source import installed_tracer

    installed_tracer().parent.mkdir(parents=True)
    installed_tracer().write_bytes(b"no tracer")
    verdict = Detector(tiny_onnx, threshold=1e6).check(speech_path)
    assert (verdict.decision, verdict.source) == ("spoof", None)
    assert any("the source was not traced" in warning for warning in verdict.warnings)


@pytest.mark.parametrize("seconds", [3.0, 4.0, 12.7])
def test_a_stream_ends_with_the_source_that_checking_gives(installed, tiny_onnx, speechlike, seconds):
    """Looking at the unfinished end twice a second must leave no trace in what is traced."""
    detector = Detector(tiny_onnx, threshold=1e6)
    wave = speechlike(seconds, seed=5)
    stream = detector.stream()
    for start in range(0, len(wave), 5_000):
        stream.push(wave[start : start + 5_000])
    live, offline = stream.finish().source, detector.check((wave, 16_000)).source
    assert live["probabilities"] == pytest.approx(offline["probabilities"], rel=1e-3)
    near, expected = (source.pop("nearest") for source in (live, offline))
    assert [one["distance"] for one in near] == pytest.approx([one["distance"] for one in expected], rel=1e-4)
    assert {**live, "probabilities": 0} == {**offline, "probabilities": 0}


def test_listen_says_the_source(installed, tiny_onnx, speechlike, capsys, monkeypatch):
    import io
    from types import SimpleNamespace

    pcm = (speechlike(5.0, seed=5) * 32_767).astype("<i2").tobytes()
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(pcm))))
    monkeypatch.setattr("ringtrue.inference.judge.Judge.llr", lambda self, score: -9.0)
    assert main(["listen", "-", "--model", str(tiny_onnx)]) == 1
    assert "  source: " in capsys.readouterr().out


def test_a_service_enrolls_what_strangers_send_only_where_it_was_told_to(
    made, tiny_onnx, tmp_path, encode, speechlike, monkeypatch
):
    """Each worker that judges knows of it at once, and the command line knows the same."""
    pytest.importorskip("fastapi", reason="the service needs ringtrue[serve]")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "serve"))
    from serve_client import Server, multipart

    (tmp_path / "models").mkdir()
    shutil.copy(made[0], tmp_path / "models/tracer.onnx")
    hiss = [0.05 * np.random.default_rng(number).standard_normal(32_000) for number in range(7)]
    clips = [
        encode("wav", (speechlike(2.0, number) + hiss[number]).astype(np.float32)) for number in range(7)
    ]
    closed = Server(tiny_onnx, tmp_path, "--threshold", "1e6")
    assert closed.ask("GET", "/v1/enroll")[0] == 404
    assert "/v1/enroll" not in closed.ask("GET", "/openapi.json")[1]["paths"]
    assert closed.stop() == 0
    server = Server(tiny_onnx, tmp_path, "--threshold", "1e6", "--enroll")

    def sources():
        """As each of the two workers has it, both asked again and again."""
        return {server.post("/v1/check", clip)[1]["source"]["system"] for clip in clips[5:] * 3}

    def send(name, *sent):
        files = [(f"{number}.wav", content) for number, content in enumerate(sent)]
        body, kind = multipart({"name": name, "vocoder": "vocos"}, *files)
        return server.ask("POST", "/v1/enroll", body, {"Content-Type": kind})

    assert sources() == {"unknown"}
    status, problem, _ = send("hiss machine", *clips[:4], b"no sound")
    assert status == 422 and "4 clips could be heard" in problem["detail"]
    status, answer, _ = send("hiss machine", *clips[:5], b"no sound")
    assert (status, answer["clips"], answer["vocoder"]) == (201, 5, "vocos")
    assert any("left out: 5.wav" in note for note in answer["notes"])
    assert sources() == {"hiss machine"}
    assert [one["name"] for one in server.ask("GET", "/v1/enroll")[1]["enrolled"]] == ["hiss machine"]
    by_hand = Tracer(made[0], enrolled=tmp_path / "by_hand.safetensors")
    for number in range(5):
        (tmp_path / f"{number}.wav").write_bytes(clips[number])
    expected = enroll(by_hand, "x", [tmp_path / f"{number}.wav" for number in range(5)], print).position
    kept = Tracer(tmp_path / "models/tracer.onnx").enrolled.prototypes["hiss machine"].position
    np.testing.assert_allclose(kept, expected, rtol=1e-5, atol=1e-6)
    assert send("", *clips[:5])[0] == 422
    assert send("a\nb", *clips[:5])[0] == 422
    assert server.ask("DELETE", "/v1/enroll/hiss%20machine")[0] == 204
    assert server.ask("DELETE", "/v1/enroll/hiss%20machine")[0] == 404
    assert sources() == {"unknown"}
    assert server.stop() == 0 and "Traceback" not in server.log.read_text()


def test_enrolment_over_http_is_refused_with_a_broken_tracer_or_to_everybody(tiny_onnx, capsys, monkeypatch):
    pytest.importorskip("fastapi", reason="the service needs ringtrue[serve]")
    from ringtrue.inference.source import installed_tracer

    words = ["serve", "--model", str(tiny_onnx), "--enroll"]
    assert main([*words, "--host", "0.0.0.0"]) == 2
    assert "it needs --keys" in capsys.readouterr().err
    installed_tracer().parent.mkdir(parents=True)
    installed_tracer().write_bytes(b"no tracer")
    assert main(words) == 2
    assert "tracer.onnx" in capsys.readouterr().err
