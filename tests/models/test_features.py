import numpy as np
import pytest
import torch
from transformers.audio_utils import mel_filter_bank

from ringtrue.models.features import LogFilterbank, filterbank, frame_count


@pytest.mark.parametrize(("bands", "fft"), [(80, 400), (64, 512)])
def test_mel_filters_are_those_of_an_independent_implementation(bands, fft):
    expected = mel_filter_bank(fft // 2 + 1, bands, 0.0, 8000.0, 16_000, norm="slaney", mel_scale="slaney").T
    assert np.abs(filterbank(bands, 0.0, 8000.0, fft=fft, area_normalised=True) - expected).max() < 1e-7


def test_linear_filters_are_equally_wide_and_cover_the_band():
    bank = filterbank(64, 20.0, 7600.0, scale="linear")
    assert len({int(count) for count in (bank > 0).sum(axis=1)}) <= 2
    inside = bank.sum(axis=0)[8:240]  # between the centres of the first and last filters they add up to one
    assert np.allclose(inside, 1.0, atol=1e-5)


@pytest.mark.parametrize("samples", [400, 559, 560, 16_000, 48_123])
def test_both_roads_to_the_spectrum_agree(samples):
    wave = torch.randn(2, samples, generator=torch.Generator().manual_seed(0))
    features = LogFilterbank("dual")
    by_fft = features(wave)
    features.for_onnx = True
    by_convolution = features(wave)
    assert by_fft.shape == (2, 2, 64, frame_count(samples))
    assert torch.allclose(by_fft, by_convolution, atol=1e-4)


def test_level_and_offset_do_not_matter():
    wave = 0.1 * torch.randn(1, 16_000, generator=torch.Generator().manual_seed(0))
    features = LogFilterbank("mel")
    assert torch.allclose(features(wave), features(wave * 0.05 + 0.01), atol=2e-2)


def test_a_tone_lands_in_its_band():
    time = torch.arange(16_000) / 16_000
    noise = 0.01 * torch.randn(16_000, generator=torch.Generator().manual_seed(0))
    tone = noise + (time > 0.5) * torch.sin(2 * torch.pi * 3000 * time)
    image = LogFilterbank("lfb")(tone[None])[0, 0]
    expected = int(np.argmin(np.abs(np.linspace(20, 7600, 66)[1:-1] - 3000)))
    assert int(image[:, -5:].mean(dim=1).argmax()) == expected


def test_silence_is_finite():
    assert torch.isfinite(LogFilterbank("dual")(torch.zeros(1, 4_000))).all()
