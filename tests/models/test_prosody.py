"""The torch twin against the definition, and inside an ONNX graph."""

import numpy as np
import onnxruntime
import pytest
import torch

from ringtrue import prosody
from ringtrue.models.prosody import ProsodyContours
from ringtrue.windows import content_frames


@pytest.fixture(scope="module")
def module():
    return ProsodyContours().eval()


@pytest.mark.parametrize("samples", [400, 719, 720, 1_001, 16_000, 40_123])
def test_torch_computes_what_the_definition_says(module, speechlike, samples):
    wave = speechlike(samples / 16_000, seed=3)
    expected = prosody.contours(wave)
    assert expected.shape == (len(prosody.CHANNELS), (content_frames(samples) + 1) // 2)
    assert np.abs(module(torch.from_numpy(wave)[None])[0].numpy() - expected).max() < 1e-3


def test_a_clip_sounds_alike_alone_and_in_company(module, speechlike):
    waves = torch.from_numpy(
        np.stack([speechlike(2.0, seed=seed) * gain for seed, gain in enumerate((1, 9, 0.01))])
    )
    waves[1, 4_000:9_000] = 0.0
    together = module(waves)
    assert torch.equal(together, module(waves))
    assert torch.allclose(together, torch.cat([module(wave[None]) for wave in waves]), atol=1e-4)


def test_silence_and_full_scale_are_finite(module):
    waves = torch.stack(
        [torch.zeros(5_000), torch.ones(5_000), torch.sign(torch.randn(5_000)), torch.eye(5_000)[9]]
    )
    assert torch.isfinite(module(waves)).all()


def test_a_graph_of_any_batch_and_length_computes_the_same(module, speechlike, tmp_path):
    shapes = ({0: torch.export.Dim("batch"), 1: torch.export.Dim("samples", min=1_600)},)
    program = torch.onnx.export(
        module,
        (torch.zeros(2, 16_000),),
        dynamo=True,
        dynamic_shapes=shapes,
        verbose=False,
        input_names=["wave"],
    )
    session = onnxruntime.InferenceSession(
        program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    rng = np.random.default_rng(0)
    for clips, samples in ((1, 1_000), (3, 16_000), (2, 64_123)):
        walk = (0.1 * rng.standard_normal((clips, samples)).cumsum(axis=1) / 50).astype(np.float32)
        walk[-1] = speechlike(samples / 16_000, seed=clips)
        ours = session.run(None, {"wave": walk})[0]
        assert np.abs(ours - module(torch.from_numpy(walk)).numpy()).max() < 5e-4
