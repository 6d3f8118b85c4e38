"""path | bytes | file | array -> Wave (float32, mono, 16 kHz, [-1, 1]): the only decoder.

Everything past this room takes what it makes. `load` gives a whole recording, `open_stream` the same
samples, bit for bit, in bounded memory for any length.
"""

from ringtrue.audio.decode import AudioInfo, Source
from ringtrue.audio.wave import SAMPLE_RATE_HZ, AudioStream, Wave, load, open_stream

AUDIO_SUFFIXES = frozenset(
    [
        ".wav",
        ".flac",
        ".mp3",
        ".ogg",
        ".oga",
        ".opus",
        ".m4a",
        ".aac",
        ".mp4",
        ".mov",
        ".webm",
        ".mkv",
        ".amr",
        ".aif",
        ".aiff",
        ".wma",
        ".au",
        ".caf",
        ".w64",
        ".ulaw",
        ".ul",
        ".alaw",
        ".al",
        ".g722",
    ]
)
"""What to look for in a folder; a file that is named itself may have any suffix."""

__all__ = [
    "AUDIO_SUFFIXES",
    "SAMPLE_RATE_HZ",
    "AudioInfo",
    "AudioStream",
    "Source",
    "Wave",
    "load",
    "open_stream",
]
