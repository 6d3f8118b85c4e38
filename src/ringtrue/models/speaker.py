"""A speaker encoder as a front end: waves (B, T) -> one d-vector a clip (B, 1, 256).

Wan et al., "Generalized end-to-end loss for speaker verification", 2018: three LSTM layers over 40 mel bands, the last
state projected and brought to length 1, averaged over pieces of 1.6 s.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from ringtrue.errors import CheckpointError
from ringtrue.models.features import filterbank
from ringtrue.models.frontend import FrontEnd
from ringtrue.tensors import load_tensors, save_tensors

FILE = "speaker_encoder.safetensors"
_PIECE, _STEP = 160, 77  # mel frames in a piece (1.6 s) and between the starts of two: 1.3 pieces a second
_LEVEL = 10 ** (-30 / 20)  # RMS that quieter clips are raised to


class SpeakerEncoder(FrontEnd):
    """A GE2E d-vector encoder.

    Args:
        weights: ``lstm.*`` and ``linear.*``.
    """

    utterance_level = True
    num_layers = 0

    def __init__(self, weights: Mapping[str, Tensor]):
        super().__init__()
        self.bank: Tensor
        self.window: Tensor
        wide, bands = weights["lstm.weight_ih_l0"].shape
        depth = sum(name.startswith("lstm.weight_ih_l") for name in weights)
        self.lstm = nn.LSTM(bands, wide // 4, depth, batch_first=True)
        self.linear = nn.Linear(wide // 4, weights["linear.weight"].shape[0])
        self.load_state_dict(dict(weights))
        self.dim = self.linear.out_features
        self.preprocessing = {"raised_to_db": -30}
        bank = filterbank(bands, 0.0, 8000.0, fft=400, area_normalised=True)
        self.register_buffer("bank", torch.from_numpy(bank), persistent=False)
        self.register_buffer("window", torch.hann_window(400), persistent=False)

    def hidden(self, wave: Tensor, last: int = 0) -> list[Tensor]:
        """See `FrontEnd.hidden`."""
        rms = wave.square().mean(1, keepdim=True).sqrt()
        wave = wave * torch.clamp(_LEVEL / (rms + 1e-9), min=1.0, max=1e4)
        spectrum = torch.stft(wave, 400, 160, window=self.window, return_complex=True)
        mel = self.bank @ spectrum.abs().square()  # not its logarithm: so it was trained
        if (missing := _PIECE - mel.shape[2]) > 0:
            mel = functional.pad(mel, (0, missing))
        pieces = mel.unfold(2, _PIECE, _STEP).permute(0, 2, 3, 1)  # (B, P, frames, bands)
        _, (states, _) = self.lstm(pieces.flatten(0, 1))
        voices = functional.normalize(torch.relu(self.linear(states[-1])), dim=1)
        mean = voices.unflatten(0, pieces.shape[:2]).mean(1)
        return [functional.normalize(mean, dim=1)[:, None]]


def is_speaker_folder(path: str | Path) -> bool:
    """Say whether a folder holds a speaker encoder that `convert_speaker_encoder` wrote."""
    return (Path(path) / FILE).is_file()


def read_speaker_encoder(folder: Path) -> SpeakerEncoder:
    """Read a speaker encoder.

    Args:
        folder: Where `convert_speaker_encoder` put it.

    Returns:
        The front end.

    Raises:
        CheckpointError: The file is damaged or holds something else.
    """
    weights, _ = load_tensors(folder / FILE)
    try:
        return SpeakerEncoder(weights)
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(f"{folder / FILE} is no d-vector encoder: {error}") from error


def convert_speaker_encoder(checkpoint: Path, folder: Path, source: str) -> Path:
    """Turn a published torch checkpoint into safetensors; nothing in it can run while it is read.

    Args:
        checkpoint: A ``.pt`` file with ``model_state``, as the package resemblyzer has.
        folder: The folder to fill.
        source: Where it came from, for the record.

    Returns:
        The folder.

    Raises:
        CheckpointError: The file is damaged or holds anything but tensors.
    """
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)["model_state"]
        weights = {name: tensor for name, tensor in state.items() if name.startswith(("lstm.", "linear."))}
        SpeakerEncoder(weights)
    except Exception as error:  # torch raises whatever its reader met
        raise CheckpointError(f"{checkpoint} is no d-vector checkpoint: {error}") from error
    save_tensors(folder / FILE, weights, {"ringtrue": json.dumps({"source": source})})
    return folder
