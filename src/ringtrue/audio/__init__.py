"""path | bytes | file | array -> Wave (float32, mono, 16 kHz, [-1, 1]): the only decoder.

Everything past this room takes what it makes. `load` gives a whole recording, `open_stream` the same
samples, bit for bit, in bounded memory for any length; `load_piece` gives a part whose place follows from the length.
"""

from ringtrue.audio.decode import AudioInfo, Source, open_live
from ringtrue.audio.find import AUDIO_SUFFIXES, find_recordings
from ringtrue.audio.piece import Place, load_piece
from ringtrue.audio.resample import MAX_RATE_HZ, MIN_RATE_HZ, SAMPLE_RATE_HZ, Resampler, to_float, to_mono
from ringtrue.audio.wave import MAX_HELD_BYTES, AudioStream, Wave, load, open_stream

__all__ = [
    "AUDIO_SUFFIXES",
    "MAX_HELD_BYTES",
    "MAX_RATE_HZ",
    "MIN_RATE_HZ",
    "SAMPLE_RATE_HZ",
    "AudioInfo",
    "AudioStream",
    "Place",
    "Resampler",
    "Source",
    "Wave",
    "find_recordings",
    "load",
    "load_piece",
    "open_live",
    "open_stream",
    "to_float",
    "to_mono",
]
