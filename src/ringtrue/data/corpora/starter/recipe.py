"""What the starter corpus is made of, as tables: who speaks, which systems, in which split, how many clips.

Choices that are not free: (1) Hibari was distilled from Kokoro, so both are test systems. (2) flite's `slt`
and festival's `slt_hts` clone one person: `slt` is a test voice and flite's stays out. (3) Allison recorded
English and Spanish prompts: only the English are used. (4) MLSA-type vocoders are in flite_clustergen (train)
and festival_hts_slt (test): that is a new system, not a new vocoder family. (5) eSpeak's Klatt voices are the
same engine as its formant voices and would not be an unseen system anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Copies:
    """Copy-synthesis of a split's human clips by one vocoder.

    Attributes:
        engine: Name of the engine.
        split: Split that the copies are in.
        count: Clips.
    """

    engine: str
    split: str
    count: int


@dataclass(frozen=True)
class Speech:
    """Sentences of a split read by one synthesiser.

    Attributes:
        engine: Name of the engine.
        split: Split that the clips are in.
        count: Clips, shared out evenly over languages and voices.
        languages: Languages to read in.
        voices: The engine's voices that may be used; empty: all that it has for those languages.
    """

    engine: str
    split: str
    count: int
    languages: tuple[str, ...]
    voices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """One size of the corpus.

    Attributes:
        bonafide: Split -> speaker -> clips.
        copies: The copy-synthesis.
        speech: The text-to-speech.
    """

    bonafide: Mapping[str, Mapping[str, int]]
    copies: tuple[Copies, ...]
    speech: tuple[Speech, ...]

    @property
    def engines(self) -> set[str]:
        """The engines that it asks for."""
        return {row.engine for row in self.copies} | {row.engine for row in self.speech}

    @property
    def languages(self) -> set[str]:
        """The languages that synthesisers read in."""
        return {language for row in self.speech for language in row.languages}


MINIMUM = {
    # split: (speakers, systems) below which no honest comparison can be made
    "train": (3, 4),
    "dev": (2, 2),
    "test": (2, 2),
}

_TRAIN_LANGUAGES = ("cs", "en", "fr", "it", "bg")
_TEST_LANGUAGES = ("ru", "es", "be", "da", "el")

_SMALL = Recipe(
    bonafide={
        "train": {
            "fillets_cs_m": 40,
            "fillets_cs_v": 40,
            "asterisk_en_allison": 40,
            "asterisk_fr_june": 40,
            "asterisk_it_carlo": 40,
            "tuxpaint_fr": 40,
            "tuxpaint_bg": 40,
        },
        "dev": {"fillets_nl_m": 30, "fillets_nl_v": 30, "tuxpaint_ro": 30},
        "test": {
            "asterisk_ru": 25,
            "festvox_ru_shmyrev": 25,
            "tuxpaint_es": 25,
            "tuxpaint_be": 25,
            "tuxpaint_da": 12,  # all that last long enough
            "tuxpaint_el": 25,
            "tuxpaint_ru": 25,
        },
    },
    copies=(
        Copies("copy_world", "train", 90),
        Copies("copy_griffinlim", "train", 90),
        Copies("copy_hifigan", "train", 90),
        Copies("copy_lpc", "dev", 45),
        Copies("copy_mbmelgan", "test", 60),
        Copies("copy_world", "test_seen", 35),
        Copies("copy_griffinlim", "test_seen", 35),
        Copies("copy_hifigan", "test_seen", 35),
    ),
    speech=(
        Speech("espeak_formant", "train", 70, _TRAIN_LANGUAGES, ("default", "m3")),
        Speech("flite_kal_diphone", "train", 50, ("en",)),
        Speech("flite_clustergen", "train", 50, ("en",), ("awb",)),
        Speech("festival_diphone_cs", "train", 40, ("cs",), ("dita",)),
        Speech("piper_joe", "train", 70, ("en",)),
        Speech("festival_diphone_it", "dev", 45, ("it",)),
        Speech("kokoro82m", "test", 40, ("en", "es", "it")),
        Speech("hibari_heart", "test", 50, ("en",)),
        Speech("festival_hts_slt", "test", 40, ("en",)),
        Speech("festival_clunits_ru", "test", 40, ("ru",)),
        Speech("espeak_formant", "test_seen", 30, _TEST_LANGUAGES, ("f2",)),
        Speech("flite_clustergen", "test_seen", 25, ("en",), ("rms",)),
        Speech("festival_diphone_cs", "test_seen", 20, ("cs",), ("machac",)),
    ),
)

_FULL = Recipe(
    bonafide={
        "train": {
            "fillets_cs_m": 240,
            "fillets_cs_v": 240,
            "asterisk_en_allison": 150,
            "asterisk_fr_june": 150,
            "asterisk_it_carlo": 130,
            "tuxpaint_fr": 150,
            "tuxpaint_bg": 150,
        },
        "dev": {"fillets_nl_m": 150, "fillets_nl_v": 150, "tuxpaint_ro": 90},
        "test": {
            "asterisk_ru": 105,
            "festvox_ru_shmyrev": 350,
            "tuxpaint_es": 120,
            "tuxpaint_be": 80,
            "tuxpaint_da": 12,
            "tuxpaint_el": 70,
            "tuxpaint_ru": 95,
        },
    },
    copies=(
        Copies("copy_world", "train", 200),
        Copies("copy_griffinlim", "train", 200),
        Copies("copy_hifigan", "train", 200),
        Copies("copy_lpc", "dev", 200),
        Copies("copy_mlsa", "dev", 200),
        Copies("copy_mbmelgan", "test", 200),
        Copies("copy_world", "test_seen", 100),
        Copies("copy_griffinlim", "test_seen", 100),
        Copies("copy_hifigan", "test_seen", 100),
    ),
    speech=(
        Speech("espeak_formant", "train", 200, _TRAIN_LANGUAGES, ("default", "m3")),
        Speech("flite_kal_diphone", "train", 200, ("en",)),
        Speech("flite_clustergen", "train", 200, ("en",), ("awb",)),
        Speech("festival_diphone_cs", "train", 200, ("cs",), ("dita",)),
        Speech("piper_joe", "train", 200, ("en",)),
        Speech("festival_diphone_it", "dev", 200, ("it",)),
        Speech("kokoro82m", "test", 200, ("en", "es", "it")),
        Speech("hibari_heart", "test", 200, ("en",)),
        Speech("festival_hts_slt", "test", 200, ("en",)),
        Speech("festival_clunits_ru", "test", 200, ("ru",)),
        Speech("espeak_formant", "test_seen", 100, _TEST_LANGUAGES, ("f2",)),
        Speech("flite_clustergen", "test_seen", 100, ("en",), ("rms",)),
        Speech("festival_diphone_cs", "test_seen", 100, ("cs",), ("machac",)),
    ),
)

# Every training recording by every vocoder of training: 200 copies of each are learnt by heart.
_PAIRED = replace(
    _FULL, copies=tuple(replace(row, count=1_200) if row.split == "train" else row for row in _FULL.copies)
)

RECIPES = {"small": _SMALL, "full": _FULL, "paired": _PAIRED}
