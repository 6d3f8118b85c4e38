"""(wave, rng) -> wave of the same length: rooms, noise, levels, bands, codecs, packets; replayable from the generator.

Every transform takes and gives ``(T,)`` float32 at 16 kHz in [-1, 1], leaves its input alone, knows no label, and keeps
sample k where it was, because content units are aligned to samples. To add one: write it where its kind is (`levels`,
`bands`, `noise`, `rooms`, `codecs`), its fields in `Augment`, and its row in `TRANSFORMS`.
"""

from ringtrue.data.augment.bands import (
    QUALITIES,
    band_limit,
    mask_band,
    mask_time,
    resample_round_trip,
)
from ringtrue.data.augment.codecs import CODECS, Codec, available_codecs, codec_round_trip
from ringtrue.data.augment.levels import clip, limit, quantise, set_level
from ringtrue.data.augment.noise import CONCEALMENTS, add_noise, lose_packets
from ringtrue.data.augment.policy import POLICIES, TRANSFORMS, Augment, augment, augmentation
from ringtrue.data.augment.rawboost import ALGORITHMS, RawBoost, rawboost
from ringtrue.data.augment.rooms import add_room, room_response

__all__ = [
    "ALGORITHMS", "CODECS", "CONCEALMENTS", "POLICIES", "QUALITIES", "TRANSFORMS", "Augment", "Codec", "RawBoost",
    "add_noise", "add_room", "augment", "augmentation", "available_codecs", "band_limit", "clip", "codec_round_trip",
    "limit", "lose_packets", "mask_band", "mask_time", "quantise", "rawboost", "resample_round_trip", "room_response",
    "set_level",
]  # fmt: skip
