"""A pretrained encoder by hub name or folder -> frozen frame features (B, L, D) at 50 Hz, one interface for all.

wav2vec 2.0, HuBERT, WavLM, XLS-R and Whisper come through transformers; a faster-whisper (CTranslate2) folder is
read directly; a log-mel context is there for when no weights are. Frame i of every front end is centred on sample
200 + 320 i, as evidence frames are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ringtrue.errors import CheckpointError, require
from ringtrue.models.ctranslate2 import is_ctranslate2_folder, read_whisper_encoder
from ringtrue.models.features import filterbank
from ringtrue.windows import CONTENT_FRAME, CONTENT_STRIDE, content_frames

LOG_MEL = "log-mel"
"""Name of the front end that needs no weights."""


class FrontEnd(nn.Module):
    """A frozen encoder: waves `(B, T)` and a layer in, frame features `(B, L, D)` out.

    Attributes:
        name: Hub name or folder that it was loaded from.
        num_layers: Highest layer; layer 0 is what the first transformer block reads.
        weights_sha256: Hash of the weights, so that cached features can name their maker.
    """

    name: str
    num_layers: int
    weights_sha256: str

    def forward(self, wave: Tensor, layer: int) -> Tensor:
        """Compute features.

        Args:
            wave: `(B, T)`, 16 kHz, T at least `CONTENT_FRAME`.
            layer: 0 to `num_layers`.

        Returns:
            `(B, L, D)` with L = ``content_frames(T)``.
        """
        raise TypeError(f"{type(self).__name__} does not define forward")

    def _freeze(self, name: str) -> None:
        self.name = name
        self.weights_sha256 = _hash_weights(self.state_dict())
        self.eval().requires_grad_(False)


def load_frontend(name: str) -> FrontEnd:
    """Load a frozen front end.

    Args:
        name: A hub name (``facebook/wav2vec2-base-960h``, ``openai/whisper-base`` …), a folder that
            transformers saved, a faster-whisper folder (with ``model.bin``), or ``"log-mel"``.

    Returns:
        The front end in evaluation mode, without gradients.

    Raises:
        CheckpointError: There is no such model, or it is of a kind that is not an audio encoder.
        MissingExtraError: transformers is needed and absent.
    """
    if name == LOG_MEL:
        front_end: FrontEnd = LogMelContext()
    elif is_ctranslate2_folder(name):
        weights, heads = read_whisper_encoder(Path(name) / "model.bin")
        front_end = WhisperEncoder(weights, heads)
    else:
        front_end = _from_transformers(name)
    front_end._freeze(name)
    return front_end


class LogMelContext(FrontEnd):
    """40 log-mel bands with two frames of context on either side: what to cluster when no teacher is at hand."""

    num_layers = 0

    def __init__(self) -> None:
        super().__init__()
        self.bank: Tensor
        self.window: Tensor
        self.register_buffer("bank", torch.from_numpy(filterbank(40, 60.0, 7600.0)))
        self.register_buffer("window", torch.hann_window(CONTENT_FRAME))

    def forward(self, wave: Tensor, layer: int = 0) -> Tensor:
        """See `FrontEnd.forward`."""
        frames = wave.unfold(1, CONTENT_FRAME, CONTENT_STRIDE) * self.window
        power = torch.fft.rfft(frames, n=512).abs().square()
        image = torch.log(power @ self.bank.T + 1e-6)
        padded = functional.pad(image.transpose(1, 2), (2, 2), mode="replicate")
        return padded.unfold(2, 5, 1).permute(0, 2, 1, 3).flatten(2)


class SelfSupervised(FrontEnd):
    """wav2vec 2.0, HuBERT, WavLM and their kin through transformers.

    Args:
        model: A transformers model whose ``hidden_states`` are frames of stride 320.
        normalise: Bring every wave to zero mean and unit variance, as the large models were trained.
    """

    def __init__(self, model: Any, normalise: bool):
        super().__init__()
        self.model = model
        self.normalise = normalise
        self.num_layers = model.config.num_hidden_layers

    def forward(self, wave: Tensor, layer: int) -> Tensor:
        """See `FrontEnd.forward`."""
        if self.normalise:
            wave = (wave - wave.mean(1, keepdim=True)) / torch.sqrt(wave.var(1, keepdim=True) + 1e-7)
        hidden: Tensor = self.model(wave, output_hidden_states=True).hidden_states[layer]
        return hidden


class WhisperEncoder(FrontEnd):
    """Whisper's encoder, for waves of any length up to 30 s, without padding them to 30 s.

    Only the positions that the wave needs are used, so a 4-second clip costs 4 seconds; the features then
    differ a little from those inside a padded 30-second window (cosine about 0.98 for Whisper-base).

    Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", 2022.

    Args:
        weights: Tensors under the names that transformers gives them in ``WhisperModel.encoder``.
        heads: Attention heads of each block.
    """

    def __init__(self, weights: Mapping[str, Tensor], heads: int):
        super().__init__()
        self.bank: Tensor
        self.window: Tensor
        width, mels, _ = weights["conv1.weight"].shape
        positions = weights["embed_positions.weight"].shape[0]
        inner = weights["layers.0.fc1.weight"].shape[0]
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

    def forward(self, wave: Tensor, layer: int) -> Tensor:
        """See `FrontEnd.forward`; the last layer comes after the final normalisation."""
        count = content_frames(wave.shape[1])
        # Whisper's frame i is centred on sample 320 i of what it is given: 200 samples less, and it is
        # centred where a frame of 25 ms without padding is.
        x = self.encode(self.log_mel(wave[:, CONTENT_FRAME // 2 :]), layer)
        return x[:, :count]

    def encode(self, mel: Tensor, layer: int) -> Tensor:
        """Encode a log-mel image.

        Args:
            mel: `(B, F, L)` at 100 Hz, as `log_mel` makes it.
            layer: 0 to `num_layers`.

        Returns:
            `(B, ceil(L / 2), D)`.

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
        for block in self.layers[:layer]:
            x = block(x)
        out: Tensor = self.layer_norm(x) if layer == self.num_layers else x
        return out

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


def _from_transformers(name: str) -> FrontEnd:
    from safetensors import SafetensorError

    transformers = require("transformers", "train")
    try:
        model = transformers.AutoModel.from_pretrained(name)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(
            f"the front end {name!r} cannot be loaded ({reason}); accepted: a hub name such as "
            "facebook/wav2vec2-base, a folder with config.json and weights, a faster-whisper folder with "
            f"model.bin, or {LOG_MEL!r}. Without a network, download the folder once and name it"
        ) from error
    kind = model.config.model_type
    if kind == "whisper":
        return WhisperEncoder(model.encoder.state_dict(), model.config.encoder_attention_heads)
    if getattr(model.config, "conv_stride", None) is None or getattr(model, "encoder", None) is None:
        raise CheckpointError(f"{name!r} is a {kind!r} model; accepted: wav2vec2, hubert, wavlm, whisper")
    return SelfSupervised(model, _expects_normalised(transformers, name, model))


def _expects_normalised(transformers: Any, name: str, model: Any) -> bool:
    """Ask the model's own preprocessing; without one, layer-norm convolutions mark the large models."""
    try:
        return bool(transformers.AutoFeatureExtractor.from_pretrained(name).do_normalize)
    except (OSError, ValueError, AttributeError):
        return bool(getattr(model.config, "feat_extract_norm", "group") == "layer")


def _hash_weights(weights: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].detach().contiguous().numpy().tobytes())
    return digest.hexdigest()
