"""The zoo's methods by name, and how one is drawn: first the family, then the method: none is heard more."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np

from ringtrue.data.corpora.zoo import (
    channel,
    coding,
    conversion,
    enhancement,
    harmonic,
    mel,
    phase,
    smoothing,
    source_filter,
    splicing,
)
from ringtrue.data.corpora.zoo.speech import Samples, Speech


@dataclass(frozen=True)
class Method:
    """One way to say it again.

    Attributes:
        family: What it is drawn with.
        make: From a recording and a generator, which draws all of its settings, to a wave as long.
        needs: Module of an optional dependency, of the extra ``probe``; empty for none.
    """

    family: str
    make: Callable[[Speech, np.random.Generator], Samples]
    needs: str = ""

    @property
    def summary(self) -> str:
        """What it does, in one sentence."""
        return (self.make.__doc__ or "").partition("\n")[0]


METHODS: dict[str, Method] = {
    "griffin_lim": Method("phase", phase.griffin_lim),
    "rtisi": Method("phase", phase.rtisi),
    "spsi": Method("phase", phase.spsi),
    "zero_phase": Method("phase", phase.zero_phase),
    "random_phase": Method("phase", phase.random_phase),
    "mixed_phase": Method("phase", phase.mixed_phase),
    "phase_vocoder": Method("phase", phase.phase_vocoder),
    "mel_pseudo_inverse": Method("mel", mel.mel_pseudo_inverse),
    "mel_non_negative": Method("mel", mel.mel_non_negative),
    "mel_spsi": Method("mel", mel.mel_spsi),
    "mfcc": Method("mel", mel.mfcc),
    "world": Method("source_filter", source_filter.world, "pyworld"),
    "world_coded": Method("source_filter", source_filter.world_coded, "pyworld"),
    "lpc": Method("source_filter", source_filter.lpc),
    "lpc_glottal": Method("source_filter", source_filter.lpc_glottal),
    "lpc_residual": Method("source_filter", source_filter.lpc_residual),
    "cepstral": Method("source_filter", source_filter.cepstral),
    "sinusoidal": Method("harmonic", harmonic.sinusoidal),
    "harmonic_noise": Method("harmonic", harmonic.harmonic_noise),
    "harmonic_only": Method("harmonic", harmonic.harmonic_only),
    "channel_noise": Method("channel", channel.channel_noise),
    "channel_pulse": Method("channel", channel.channel_pulse),
    "channel_single_sideband": Method("channel", channel.channel_single_sideband),
    "smoothed_mel": Method("smoothing", smoothing.smoothed_mel),
    "smoothed_cepstral": Method("smoothing", smoothing.smoothed_cepstral),
    "smoothed_world": Method("smoothing", smoothing.smoothed_world, "pyworld"),
    "psola": Method("splicing", splicing.psola),
    "wsola": Method("splicing", splicing.wsola),
    "concatenation": Method("splicing", splicing.concatenation),
    "world_conversion": Method("conversion", conversion.world_conversion, "pyworld"),
    "formant_shift": Method("conversion", conversion.formant_shift),
    "pitch_shift": Method("conversion", conversion.pitch_shift),
    "low_rate_codec": Method("coding", coding.low_rate_codec),
    "vector_quantised": Method("coding", coding.vector_quantised),
    "quantised_spectrum": Method("coding", coding.quantised_spectrum),
    "spectral_subtraction": Method("enhancement", enhancement.spectral_subtraction),
    "masked": Method("enhancement", enhancement.masked),
}
FAMILIES = tuple(dict.fromkeys(method.family for method in METHODS.values()))


def draw(rng: np.random.Generator, families: Collection[str], methods: Mapping[str, Method] = METHODS) -> str:
    """Draw a method.

    Args:
        rng: Draws it.
        families: From which, each equally likely.
        methods: Those that there are.

    Returns:
        A key of `methods`.
    """
    family = sorted(families)[rng.integers(len(families))]
    return str(rng.choice([name for name, method in methods.items() if method.family == family]))
