"""path | bytes | file | array -> Wave (float32, mono, 16 kHz, [-1, 1]): the only decoder.

Everything past this room takes what it makes. `load` gives a whole recording, `open_stream` the same
samples, bit for bit, in bounded memory for any length.
"""

from ringtrue.audio.decode import AudioInfo, Source
from ringtrue.audio.find import AUDIO_SUFFIXES, find_recordings
from ringtrue.audio.wave import SAMPLE_RATE_HZ, AudioStream, Wave, load, open_stream

__all__ = [
    "AUDIO_SUFFIXES",
    "SAMPLE_RATE_HZ",
    "AudioInfo",
    "AudioStream",
    "Source",
    "Wave",
    "find_recordings",
    "load",
    "open_stream",
]
