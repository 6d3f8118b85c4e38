"""A name, hub name or folder -> a frozen front end: the one place that knows which kinds there are.

wav2vec 2.0, HuBERT, WavLM, XLS-R, w2v-BERT and Whisper come through transformers; a faster-whisper (CTranslate2) folder
and a d-vector folder are read directly; a log-mel context is there for when no weights are. Frame i of every front end
is centred on sample 200 + 320 i, as evidence frames are (those of w2v-BERT 80 samples later).
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from ringtrue.errors import CheckpointError
from ringtrue.files import cache_dir
from ringtrue.models.ctranslate2 import is_ctranslate2_folder, read_whisper_encoder
from ringtrue.models.features import filterbank
from ringtrue.models.frontend import FrontEnd, FrontEndChoice
from ringtrue.models.selfsupervised import from_transformers
from ringtrue.models.speaker import is_speaker_folder, read_speaker_encoder
from ringtrue.models.whisper import WhisperEncoder
from ringtrue.windows import CONTENT_FRAME, CONTENT_STRIDE

LOG_MEL = "log-mel"
"""Name of the front end that needs no weights."""


def load_frontend(name: str, *, whole_window: bool = False) -> FrontEnd:
    """Load a frozen front end.

    Args:
        name: A hub name (``facebook/wav2vec2-base-960h``, ``openai/whisper-base`` …), a folder that transformers
            saved, a faster-whisper folder (with ``model.bin``), a d-vector folder, the name of a folder in the
            cache's ``models``, or ``"log-mel"``.
        whole_window: Pad waves to 30 s for Whisper.

    Returns:
        The front end in evaluation mode, without gradients.

    Raises:
        CheckpointError: There is no such model, or it is of a kind that is not an audio encoder.
        MissingExtraError: transformers is needed and absent.
    """
    installed = cache_dir() / "models" / name
    place = str(installed) if "/" not in name and installed.is_dir() else name
    front_end: FrontEnd
    if name == LOG_MEL:
        front_end = LogMelContext()
    elif is_ctranslate2_folder(place):
        weights, heads = read_whisper_encoder(Path(place) / "model.bin")
        front_end = WhisperEncoder(weights, heads, whole_window)
    elif is_speaker_folder(place):
        front_end = read_speaker_encoder(Path(place))
    else:
        front_end = from_transformers(place, whole_window)
    if whole_window and not isinstance(front_end, WhisperEncoder):
        raise CheckpointError(f"{name} is no Whisper model: it has no window of 30 s to pad to")
    front_end.freeze(name)
    return front_end


def load_choice(choice: FrontEndChoice) -> tuple[FrontEnd, FrontEndChoice]:
    """Load what a choice names.

    Args:
        choice: Which front end.

    Returns:
        The front end, and the complete choice.

    Raises:
        CheckpointError: It cannot be loaded, or it is not the one that was meant.
    """
    front_end = load_frontend(choice.name, whole_window=choice.whole_window)
    return front_end, choice.resolved(front_end)


class LogMelContext(FrontEnd):
    """40 log-mel bands with two frames of context on either side: what to cluster when no teacher is at hand."""

    num_layers = 0
    dim = 200
    preprocessing = {}  # noqa: RUF012 - read only

    def __init__(self) -> None:
        super().__init__()
        self.bank: Tensor
        self.window: Tensor
        self.register_buffer("bank", torch.from_numpy(filterbank(40, 60.0, 7600.0)))
        self.register_buffer("window", torch.hann_window(CONTENT_FRAME))

    def hidden(self, wave: Tensor, last: int = 0) -> list[Tensor]:
        """See `FrontEnd.hidden`."""
        frames = wave.unfold(1, CONTENT_FRAME, CONTENT_STRIDE) * self.window
        power = torch.fft.rfft(frames, n=512).abs().square()
        image = torch.log(power @ self.bank.T + 1e-6)
        padded = functional.pad(image.transpose(1, 2), (2, 2), mode="replicate")
        return [padded.unfold(2, 5, 1).permute(0, 2, 1, 3).flatten(2)]
