"""Whisper's encoder as a front end: waves (B, T) -> hidden layers (B, L, D) at 50 Hz, in a 30-s window or without."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from ringtrue.errors import CheckpointError
from ringtrue.models.features import filterbank
from ringtrue.models.frontend import FrontEnd
from ringtrue.windows import CONTENT_FRAME, content_frames

_WINDOW = 480_000  # samples that Whisper was trained on: 30 s


class WhisperEncoder(FrontEnd):
    """Whisper's encoder, for waves of any length up to 30 s.

    Left to itself it uses only the positions that the wave needs, so a 4-second clip costs 4 seconds; the features
    then differ a little from those inside a padded 30-second window (cosine about 0.98 for Whisper-base). With
    `whole_window` the wave is padded to 30 s of silence, as in training, and only its own frames come back.

    Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", 2022.

    Args:
        weights: Tensors under the names that transformers gives them in ``WhisperModel.encoder``.
        heads: Attention heads of each block.
        whole_window: Pad to 30 s.
    """

    def __init__(self, weights: Mapping[str, Tensor], heads: int, whole_window: bool = False):
        super().__init__()
        self.preprocessing = {"padded_to_s": 30 if whole_window else 0}
        self.bank: Tensor
        self.window: Tensor
        width, mels, _ = weights["conv1.weight"].shape
        positions = weights["embed_positions.weight"].shape[0]
        inner = weights["layers.0.fc1.weight"].shape[0]
        self.dim = width
        self.num_layers = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("layers."))
        self.conv1 = nn.Conv1d(mels, width, 3, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.embed_positions = nn.Embedding(positions, width)
        self.layers = nn.ModuleList([_WhisperBlock(width, inner, heads) for _ in range(self.num_layers)])
        self.layer_norm = nn.LayerNorm(width)
        self.load_state_dict(dict(weights))
        bank = filterbank(mels, 0.0, 8000.0, fft=400, area_normalised=True)
        self.register_buffer("bank", torch.from_numpy(bank), persistent=False)
        self.register_buffer("window", torch.hann_window(400), persistent=False)

    def hidden(self, wave: Tensor, last: int) -> list[Tensor]:
        """See `FrontEnd.hidden`; the last layer of all comes after the final normalisation."""
        count = content_frames(wave.shape[1])
        # Whisper's frame i is centred on sample 320 i of what it is given: 200 samples less, and it is
        # centred where a frame of 25 ms without padding is.
        wave = wave[:, CONTENT_FRAME // 2 :]
        if self.preprocessing["padded_to_s"] and wave.shape[1] < _WINDOW:
            wave = functional.pad(wave, (0, _WINDOW - wave.shape[1]))
        return [layer[:, :count] for layer in self.encode(self.log_mel(wave), last)]

    def encode(self, mel: Tensor, last: int) -> list[Tensor]:
        """Encode a log-mel image.

        Args:
            mel: `(B, F, L)` at 100 Hz, as `log_mel` makes it.
            last: 0 to `num_layers`.

        Returns:
            Layers 0 to `last`, each `(B, ceil(L / 2), D)`.

        Raises:
            CheckpointError: The image is longer than the positions that the model knows (30 s).
        """
        x = functional.gelu(self.conv1(mel))
        x = functional.gelu(self.conv2(x)).transpose(1, 2)
        known = self.embed_positions.num_embeddings
        if x.shape[1] > known:
            raise CheckpointError(
                f"Whisper was given {x.shape[1]} frames and knows {known}: cut the recording into shorter pieces"
            )
        x = x + self.embed_positions.weight[: x.shape[1]]
        layers = [x]
        for block in self.layers[:last]:
            x = block(x)
            layers.append(x)
        if last == self.num_layers:
            layers[-1] = self.layer_norm(x)
        return layers

    def log_mel(self, wave: Tensor) -> Tensor:
        """Compute Whisper's log-mel image: waves `(B, T)` to `(B, F, T // 160)`."""
        spectrum = torch.stft(wave, 400, 160, window=self.window, return_complex=True)
        mel = self.bank @ spectrum[..., :-1].abs().square()
        log = torch.clamp(mel, min=1e-10).log10()
        log = torch.maximum(log, log.amax(dim=(1, 2), keepdim=True) - 8.0)
        return (log + 4.0) / 4.0


class _WhisperAttention(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        split = [
            projection(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        ]
        mixed = functional.scaled_dot_product_attention(*split)
        out: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return out


class _WhisperBlock(nn.Module):
    def __init__(self, width: int, inner: int, heads: int):
        super().__init__()
        self.self_attn = _WhisperAttention(width, heads)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, width)
        self.final_layer_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.self_attn_layer_norm(x))
        out: Tensor = x + self.fc2(functional.gelu(self.fc1(self.final_layer_norm(x))))
        return out
