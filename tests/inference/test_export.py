import json

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ringtrue.errors import CheckpointError
from ringtrue.inference import export
from ringtrue.inference.session import METADATA_KEY
from ringtrue.models import checkpoint


@pytest.fixture(scope="module")
def pair(tiny_onnx):
    model, _ = checkpoint.load(tiny_onnx.with_suffix(".safetensors"))
    return model, onnxruntime.InferenceSession(str(tiny_onnx), providers=["CPUExecutionProvider"])


@settings(max_examples=20, deadline=None)
@given(clips=st.integers(1, 5), samples=st.integers(1_000, 70_000), seed=st.integers(0, 99))
def test_onnx_is_torch_at_any_batch_and_length(pair, clips, samples, seed):
    model, session = pair
    wave = 0.1 * torch.randn(clips, samples, generator=torch.Generator().manual_seed(seed))
    logits, frames = session.run(None, {"wave": wave.numpy()})
    with torch.inference_mode():
        assert np.abs(logits - model(wave).numpy()).max() < 1e-4
        assert np.abs(frames - model.frame_logits(wave).numpy()).max() < 1e-4


def test_onnx_is_torch_on_speech(pair, speechlike):
    model, session = pair
    wave = speechlike(4.0)[None]
    with torch.inference_mode():
        assert (
            np.abs(session.run(["logits"], {"wave": wave})[0] - model(torch.from_numpy(wave)).numpy()).max()
            < 1e-4
        )


def test_the_card_travels_inside_the_file(tiny_onnx, pair):
    card = json.loads(pair[1].get_modelmeta().custom_metadata_map[METADATA_KEY])
    assert card["name"] == "tiny"
    assert card["labels"] == ["spoof", "bonafide"]
    assert card["calibration"]["band"]["rate"] == 0.05
    assert len(card["checkpoint_sha256"]) == 64


def test_the_file_names_no_path_of_the_machine_that_made_it(tiny_onnx):
    content = tiny_onnx.read_bytes()
    assert b".py" not in content
    assert b"/ringtrue/" not in content


def test_a_graph_that_disagrees_is_not_written(tiny_onnx, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "TOLERANCE", 0.0)
    target = tmp_path / "never.onnx"
    with pytest.raises(CheckpointError, match="not exported: .* differ by"):
        export.export_onnx(tiny_onnx.with_suffix(".safetensors"), target)
    assert list(tmp_path.iterdir()) == []


def test_pth_is_a_plain_state_dict(tiny_onnx, tmp_path):
    path = export.export_pth(tiny_onnx.with_suffix(".safetensors"), tmp_path / "prosody_encoder_best.pth")
    weights = torch.load(path, weights_only=True)
    model, _ = checkpoint.load(tiny_onnx.with_suffix(".safetensors"))
    assert weights.keys() == model.state_dict().keys()
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())
