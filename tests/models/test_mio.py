"""MiO beyond the contract: its fusions by hand, its front ends outside it."""

import pytest
import torch

from ringtrue.errors import CheckpointError
from ringtrue.models import checkpoint
from ringtrue.models.frontend import FrontEndChoice
from ringtrue.models.frontends import LOG_MEL
from ringtrue.models.mio import FUSIONS, PROJECTION, complete
from ringtrue.models.registry import create


@pytest.fixture(scope="module")
def front_ends():
    return complete([FrontEndChoice(LOG_MEL, layer=0), FrontEndChoice(LOG_MEL, pool=4)])


def parts(count, *shape):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(*shape, PROJECTION, generator=generator) for _ in range(count)]


@pytest.mark.parametrize("branches", [2, 3])
@torch.inference_mode()
def test_outer_is_the_outer_product_of_every_two(front_ends, branches):
    model = create("mio", front_ends=(front_ends * 2)[:branches], fusion="outer")
    given = parts(branches, 2)
    fused = model.fusion(given)
    assert list(model.fusion.parameters()) == []  # parameter-free, as in the paper
    pairs = [(0, 1)] if branches == 2 else [(0, 1), (0, 2), (1, 2)]
    assert fused.shape == (2, 14_400 * len(pairs))
    for place, (i, j) in enumerate(pairs):
        product = fused[1, 14_400 * place : 14_400 * (place + 1)].view(PROJECTION, PROJECTION)
        assert torch.allclose(product, torch.outer(given[i][1], given[j][1]))


@torch.inference_mode()
def test_bilinear_is_a_learned_tensor(front_ends):
    model = create("mio", front_ends=front_ends, fusion="bilinear")
    p, q = parts(2, 3)
    learned = model.fusion.maps[0]
    expected = torch.einsum("bi,kij,bj->bk", p, learned.weight, q) + learned.bias
    assert torch.allclose(model.fusion([p, q]), expected, atol=1e-4)


@torch.inference_mode()
def test_concat_and_gated(front_ends):
    p, q = parts(2, 3)
    assert torch.equal(
        create("mio", front_ends=front_ends, fusion="concat").fusion([p, q]), torch.cat([p, q], 1)
    )
    gated = create("mio", front_ends=front_ends, fusion="gated").fusion([p, q])
    low, high = torch.minimum(p, q), torch.maximum(p, q)
    assert ((low - 1e-5 <= gated) & (gated <= high + 1e-5)).all()  # a mean, whatever the gates
    same = create("mio", front_ends=front_ends, fusion="gated").fusion([p, p])
    assert torch.allclose(same, p, atol=1e-6)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_parameter_learns_and_no_front_end_does(front_ends, fusion):
    torch.manual_seed(0)
    choices = [{**front_ends[0], "layers": 3}, front_ends[1]]
    model = create("mio", front_ends=choices, fusion=fusion, dropout=0.0)
    generator = torch.Generator().manual_seed(1)
    features = [
        torch.randn(4, 3, 20, 200, generator=generator),
        torch.randn(4, 1, 5, 200, generator=generator),
    ]
    torch.nn.functional.cross_entropy(
        model.head(model.embed_features(features)), torch.tensor([0, 1, 0, 1])
    ).backward()
    still = [name for name, value in model.named_parameters() if not value.grad.abs().sum() > 0]
    assert still == []
    assert not any("bank" in name for name in model.state_dict())


def test_the_output_is_logits(front_ends):
    """A softmax before a cross-entropy that has its own bounds the loss away from 0."""
    torch.manual_seed(0)
    model = create("mio", front_ends=front_ends)
    with torch.no_grad():
        model.head.bias.copy_(torch.tensor([-50.0, 50.0]))
        logits = model(0.1 * torch.randn(2, 8_000))
    assert (logits[:, 1] - logits[:, 0] > 50).all()


@torch.inference_mode()
def test_features_and_waves_give_the_same(front_ends):
    model = create("mio", front_ends=front_ends).eval()
    wave = 0.1 * torch.randn(2, 8_000, generator=torch.Generator().manual_seed(1))
    assert torch.equal(model.embed(wave), model.embed_features(model.features(wave)))


def test_a_checkpoint_names_its_front_ends_and_does_not_hold_them(front_ends, tmp_path):
    model = create("mio", front_ends=front_ends).eval()
    model(torch.zeros(1, 8_000))  # loads them
    card = checkpoint.ModelCard("mio", "mio", {"front_ends": front_ends})
    checkpoint.save(tmp_path / "mio.safetensors", model, card)
    again, _ = checkpoint.load(tmp_path / "mio.safetensors")
    wave = 0.1 * torch.randn(2, 8_000, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert torch.equal(again(wave), model(wave))
    assert set(again.state_dict()) == set(create("mio", front_ends=front_ends).state_dict())

    other = [{**choice, "weights_sha256": "0" * 64} for choice in front_ends]
    with pytest.raises(CheckpointError, match="another model than the one trained with"):
        create("mio", front_ends=other)(wave)


def test_what_cannot_be_built_is_refused(front_ends):
    with pytest.raises(CheckpointError, match="no fusion 'sum'; accepted: outer, bilinear, concat, gated"):
        create("mio", front_ends=front_ends, fusion="sum")
    with pytest.raises(CheckpointError, match="takes two or more"):
        create("mio", front_ends=front_ends[:1], fusion="outer")
    with pytest.raises(CheckpointError, match="complete front ends"):
        create("mio", front_ends=[{"name": LOG_MEL}] * 2)
    with pytest.raises(CheckpointError, match="does not take"):
        create("mio", front_ends=[{"nome": LOG_MEL}] * 2)
    with pytest.raises(CheckpointError, match="accepted: a layer's number"):
        FrontEndChoice(LOG_MEL, layer=-1)
