"""Self-supervised encoders and Whisper through transformers -> front ends; each hears waves as it was trained to."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ringtrue.errors import CheckpointError, require
from ringtrue.models.frontend import FrontEnd
from ringtrue.models.whisper import WhisperEncoder

_REFUSALS = ("gated repo", "401 client error", "403 client error")
"""What an answer of the hub holds if a model may not be had; a folder may be named anything else."""


class SelfSupervised(FrontEnd):
    """wav2vec 2.0, HuBERT, WavLM, XLS-R and their kin.

    Args:
        model: A transformers model whose ``hidden_states`` are frames of stride 320.
        normalise: Bring every wave to zero mean and unit variance, as the large models were trained.
    """

    def __init__(self, model: Any, normalise: bool):
        super().__init__()
        self.model = model
        self.num_layers = model.config.num_hidden_layers
        self.dim = model.config.hidden_size
        self.preprocessing = {"normalised": normalise}

    def hidden(self, wave: Tensor, last: int) -> list[Tensor]:
        """See `FrontEnd.hidden`."""
        if self.preprocessing["normalised"]:
            wave = (wave - wave.mean(1, keepdim=True)) / torch.sqrt(wave.var(1, keepdim=True) + 1e-7)
        return _hidden_states(self.model, last, wave)


class Wav2Vec2Bert(FrontEnd):
    """w2v-BERT 2.0, which hears pairs of neighbouring 80-band log-mel frames.

    Args:
        model: The transformers model.
        extractor: Its feature extractor, which normalises every band over the clip.
    """

    def __init__(self, model: Any, extractor: Any):
        super().__init__()
        self.model = model
        self.extractor = extractor
        self.num_layers = model.config.num_hidden_layers
        self.dim = model.config.hidden_size
        self.preprocessing = {"normalised": "every mel band"}

    def hidden(self, wave: Tensor, last: int) -> list[Tensor]:
        """See `FrontEnd.hidden`."""
        heard = self.extractor(list(wave.cpu().numpy()), sampling_rate=16_000, return_tensors="pt")
        return _hidden_states(self.model, last, heard.input_features.to(wave.device))


def from_transformers(name: str, whole_window: bool = False) -> FrontEnd:
    """Load a model through transformers.

    Args:
        name: A hub name or a folder.
        whole_window: See `ringtrue.models.whisper.WhisperEncoder`.

    Returns:
        The front end.

    Raises:
        CheckpointError: There is no such model, it may not be had, or it is no audio encoder of a known kind.
        MissingExtraError: transformers is absent.
    """
    transformers = require("transformers", "train")
    model = _load(transformers, name)
    kind = model.config.model_type
    if kind == "whisper":
        return WhisperEncoder(model.encoder.state_dict(), model.config.encoder_attention_heads, whole_window)
    if kind == "wav2vec2-bert":
        return Wav2Vec2Bert(
            model, _extractor(transformers, name) or transformers.SeamlessM4TFeatureExtractor()
        )
    if getattr(model.config, "conv_stride", None) is None or getattr(model, "encoder", None) is None:
        raise CheckpointError(
            f"{name!r} is a {kind!r} model; accepted: wav2vec2, hubert, wavlm, wav2vec2-bert, whisper"
        )
    extractor = _extractor(transformers, name)
    # Without a word from the model itself, layer-norm convolutions mark the large models.
    by_kind = getattr(model.config, "feat_extract_norm", "group") == "layer"
    return SelfSupervised(model, bool(getattr(extractor, "do_normalize", by_kind)))


def _load(transformers: Any, name: str) -> Any:
    from safetensors import SafetensorError

    try:
        # Safetensors only: another format of weights could run code.
        return transformers.AutoModel.from_pretrained(name, use_safetensors=True)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0]
        if any(sign in str(error).lower() for sign in _REFUSALS):
            raise CheckpointError(
                f"the front end {name!r} is gated: accept its terms on its hub page, then set HF_TOKEN to a token of "
                f"that account ({reason})"
            ) from error
        raise CheckpointError(
            f"the front end {name!r} cannot be loaded ({reason}); accepted: a hub name such as "
            "facebook/wav2vec2-base, a folder with config.json and model.safetensors, a faster-whisper folder with "
            "model.bin, or 'log-mel'. Without a network, download the folder once and name it"
        ) from error


def _extractor(transformers: Any, name: str) -> Any:
    """Load the model's own preprocessing, or None where it came without."""
    try:
        return transformers.AutoFeatureExtractor.from_pretrained(name)
    except (OSError, ValueError):
        return None


class _EnoughError(Exception):
    """Stops an encoder where no more of it is needed."""


def _hidden_states(model: Any, last: int, heard: Tensor) -> list[Tensor]:
    """Note what every block reads, and stop before the first that is not needed.

    Layer i is the input of block i, the last of all the encoder's output, after its normalisation where it has one.
    transformers' own ``output_hidden_states`` always runs the whole model, and its last entry is normalised or not
    by version.
    """
    states: list[Tensor] = []

    def note(block: Any, given: tuple[Any, ...]) -> None:
        states.append(given[0])
        if len(states) > last:
            raise _EnoughError

    hooks = [block.register_forward_pre_hook(note) for block in model.encoder.layers]
    try:
        states.append(model(heard).last_hidden_state)
    except _EnoughError:
        pass
    finally:
        for hook in hooks:
            hook.remove()
    return states
