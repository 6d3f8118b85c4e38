import json
from dataclasses import asdict

import pytest
import torch
from safetensors.torch import load_file, save_file

from ringtrue.errors import CheckpointError
from ringtrue.models import checkpoint
from ringtrue.models.registry import create


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    model = create("prosody_encoder", trunk="resnet", size="XS").eval()
    card = checkpoint.ModelCard(
        "small", "prosody_encoder", {"trunk": "resnet", "size": "XS"}, metrics={"dev_eer": 0.25}
    )
    path = tmp_path / "small.safetensors"
    checkpoint.save(path, model, card)
    return path, model, card


def rewrite(path, **changes):
    """Write the same weights under a changed header."""
    header = {"format": checkpoint.FORMAT, **asdict(checkpoint.load(path)[1]), **changes}
    save_file(load_file(path), path, metadata={"ringtrue": json.dumps(header)})


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[-50] ^= 1
    path.write_bytes(content)


def test_a_checkpoint_rebuilds_its_own_model(saved):
    path, model, card = saved
    rebuilt, read = checkpoint.load(path)
    wave = 0.1 * torch.randn(2, 8_000, generator=torch.Generator().manual_seed(0))
    assert read == card
    assert torch.equal(rebuilt(wave), model(wave))
    assert not rebuilt.training


def test_the_same_model_is_the_same_file(saved, tmp_path):
    path, model, card = saved
    checkpoint.save(tmp_path / "again.safetensors", model, card)
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.unlink(), "there is no file"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "not a whole safetensors file"),
        (lambda path: path.write_bytes(b"PK\x03\x04 a pickle"), "not a whole safetensors file"),
        (lambda path: path.write_bytes(b""), "not a whole safetensors file"),
        (lambda path: save_file(load_file(path), path), "no ringtrue card"),
        (lambda path: save_file(load_file(path), path, {"ringtrue": "{"}), "its card is damaged"),
        (lambda path: save_file(load_file(path), path, {"ringtrue": 9_999 * "["}), "its card is damaged"),
        (
            lambda path: save_file(load_file(path), path, {"ringtrue": '{"format": 1}'}),
            "its card is not one of",
        ),
        (flip_a_bit, "its content has another hash than when it was written"),
        (lambda path: rewrite(path, format=99), "has format 99; this version .* reads format 1"),
        (lambda path: rewrite(path, colour="red"), "its card is not one of format 1"),
        (lambda path: rewrite(path, architecture="os.system"), "no model named 'os.system'"),
        (lambda path: rewrite(path, arguments={"size": "S"}), "the weights do not fit"),
    ],
)
def test_what_is_no_checkpoint_is_one_clear_error(saved, spoil, message):
    path, *_ = saved
    spoil(path)
    with pytest.raises(CheckpointError, match=message):
        checkpoint.load(path)
