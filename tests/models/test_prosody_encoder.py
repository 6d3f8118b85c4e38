"""The contract that every registered model keeps."""

import itertools

import pytest
import torch

from ringtrue.errors import CheckpointError
from ringtrue.models.frontends import LOG_MEL, load_frontend
from ringtrue.models.mio import FUSIONS
from ringtrue.models.registry import MODELS, create
from ringtrue.windows import content_frames

LOG_MEL_SHA256 = load_frontend(LOG_MEL).weights_sha256
FRAMES = {"name": LOG_MEL, "layer": 0, "dim": 200, "layers": 1, "weights_sha256": LOG_MEL_SHA256}
VARIANTS = [
    *(
        ("prosody_encoder", {"trunk": trunk, "size": size, "front_end": front_end})
        for trunk, (size, front_end) in itertools.product(
            ("tcn", "resnet"), [("XS", "dual"), ("S", "mel"), ("M", "lfb")]
        )
    ),
    *(("mio", {"front_ends": [FRAMES, {**FRAMES, "pool": 3}], "fusion": fusion}) for fusion in FUSIONS),
    ("mio", {"front_ends": [{**FRAMES, "layer": "all"}], "fusion": "concat"}),
    ("mio", {"front_ends": [FRAMES] * 3, "fusion": "outer"}),
    ("envelope", {}),
    ("envelope", {"orders": 12}),
]
BUDGET = {"XS": 100_000, "S": 280_000, "M": 500_000}


def test_every_registered_model_is_held_to_the_contract():
    assert {name for name, _ in VARIANTS} == set(MODELS)


@pytest.fixture(params=VARIANTS, ids=str)
def model(request):
    name, arguments = request.param
    torch.manual_seed(0)
    return create(name, **arguments).eval()


def waves(count, samples, seed=0):
    return 0.1 * torch.randn(count, samples, generator=torch.Generator().manual_seed(seed))


@torch.inference_mode()
def test_every_model_speaks_the_same_words(model):
    wave = waves(3, 16_000)
    assert model(wave).shape == (3, model.num_classes)
    assert model.embed(wave).shape == (3, model.num_features)
    assert model.frame_logits(wave).shape == (3, model.num_classes, content_frames(16_000))
    model.reset_head(7)
    assert model(wave).shape == (3, 7)
    assert model.frame_logits(wave).shape[1] == 7


@torch.inference_mode()
def test_a_clip_is_judged_alike_alone_and_in_company(model):
    wave = waves(4, 12_345)
    wave[1] *= 100  # loud company must not matter either
    together = model(wave)
    alone = torch.cat([model(one[None]) for one in wave])
    assert torch.allclose(together, alone, atol=1e-5)


def test_nothing_is_remembered_between_clips(model):
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    model.train()(waves(2, 8_000))
    assert all(torch.equal(buffers[name], buffer) for name, buffer in model.named_buffers())
    assert not any("running" in name for name in buffers)


@torch.inference_mode()
def test_training_and_evaluation_differ_by_dropout_only():
    torch.manual_seed(0)
    model = create("prosody_encoder", size="XS", dropout=0.0)
    wave = waves(2, 16_000)
    assert torch.equal(model.train()(wave), model.eval()(wave))


@pytest.mark.parametrize("trunk", ["tcn", "resnet"])
@pytest.mark.parametrize("size", ["XS", "S", "M"])
def test_sizes_keep_their_parameter_budget(trunk, size):
    count = sum(
        parameter.numel() for parameter in create("prosody_encoder", trunk=trunk, size=size).parameters()
    )
    assert abs(count - BUDGET[size]) <= 0.1 * BUDGET[size]


@pytest.mark.parametrize("trunk", ["tcn", "resnet"])
def test_every_parameter_learns(trunk):
    torch.manual_seed(0)
    model = create("prosody_encoder", trunk=trunk, size="XS")
    wave = waves(4, 16_000)
    (model(wave).square().sum() + model.frame_logits(wave).square().sum()).backward()
    untouched = [name for name, parameter in model.named_parameters() if not parameter.grad.abs().sum() > 0]
    assert untouched == []


def test_evidence_frames_are_centred_where_content_frames_are():
    """A click moves the evidence most in the frame whose centre, sample 200 + 320 i, is nearest to it."""
    torch.manual_seed(0)
    model = create("prosody_encoder", size="XS").eval()
    quiet = waves(1, 32_000) * 0.01
    frame = 40
    clicked = quiet.clone()
    clicked[0, 200 + 320 * frame] += 0.5
    with torch.inference_mode():
        # the stem alone: deeper blocks see seconds
        images = [model.features(wave) for wave in (quiet, clicked)]
        moved = (model.trunk.stem(images[1]) - model.trunk.stem(images[0])).abs().sum(dim=(0, 1, 2))
    centre_of_mass = float((moved * torch.arange(len(moved))).sum() / moved.sum())
    background = moved[: frame - 10].mean()
    assert moved[frame] > 5 * background
    assert abs(float(moved[frame - 3 : frame + 4].argmax()) - 3) <= 1
    assert centre_of_mass == pytest.approx(frame, abs=12)


def test_unknown_names_and_arguments_are_refused():
    with pytest.raises(CheckpointError, match="registered: prosody_encoder"):
        create("aasist")
    with pytest.raises(CheckpointError, match="does not take"):
        create("prosody_encoder", size="XXL")
    with pytest.raises(CheckpointError, match="does not take"):
        create("prosody_encoder", depth=3)
