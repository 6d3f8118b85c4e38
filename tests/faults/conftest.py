"""Lets this folder's tests import `jobs` and `harness`, and makes the recordings that the jobs work on."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def material(tmp_path_factory, debian, encode, speechlike, tiny_onnx):
    """Forty recordings with a manifest, a Debian of a few packages, a model: read and never written."""
    from ringtrue.data.trials import Trial, write_manifest

    folder = tmp_path_factory.mktemp("material")
    trials = []
    for split, count in (("train", 16), ("dev", 12), ("test", 12)):
        for number in range(count):
            human = number % 2 == 0
            name = f"{split}-{number}"
            samples = speechlike(0.5 + 0.02 * number, seed=len(trials))
            (folder / f"{name}.wav").write_bytes(encode("wav", samples if human else samples[::-1].copy()))
            trials.append(
                Trial(
                    name,
                    f"{name}.wav",
                    "bonafide" if human else "spoof",
                    split=split,
                    speaker=f"{split} {number % 4}",
                    system="" if human else f"{split} {number % 3}",
                    corpus="toy",
                )
            )
    write_manifest(folder / "manifest.tsv", trials)
    (folder / "debian").symlink_to(debian)
    (folder / "tiny.onnx").write_bytes(tiny_onnx.read_bytes())
    return folder
