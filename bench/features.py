"""How much the feature cache saves, and what front ends cost: `python bench/features.py`; the last line is JSON.

The first epoch hears every clip, the second reads features from the cache; both hash the samples. XLS-R (300 M) runs at
full size with random weights: speed does not depend on what it learned. With `--all` wav2vec2-base and XLS-R (1 B) too.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np  # noqa: E402
import torch  # noqa: E402

from ringtrue.models.feature_cache import FeatureCache, cached_features  # noqa: E402
from ringtrue.models.frontend import FrontEnd, FrontEndChoice  # noqa: E402
from ringtrue.models.selfsupervised import SelfSupervised  # noqa: E402
from ringtrue.models.whisper import WhisperEncoder  # noqa: E402

CLIP_S = 4
BOUND = 50  # times faster that the second epoch must be


def whisper_base() -> FrontEnd:
    """The encoder of Whisper-base, with random weights."""
    import transformers

    config = transformers.WhisperConfig(
        d_model=512, encoder_layers=6, encoder_attention_heads=8, encoder_ffn_dim=2048
    )
    encoder = transformers.models.whisper.modeling_whisper.WhisperEncoder(config)
    return WhisperEncoder(encoder.state_dict(), 8)


def wav2vec2(width: int, layers: int, inner: int, heads: int, stable: bool) -> FrontEnd:
    """A wav2vec 2.0 of the given size, with random weights."""
    import transformers

    config = transformers.Wav2Vec2Config(
        hidden_size=width, num_hidden_layers=layers, intermediate_size=inner, num_attention_heads=heads,
        do_stable_layer_norm=stable, feat_extract_norm="layer" if stable else "group", conv_bias=stable,
    )  # fmt: skip
    return SelfSupervised(transformers.Wav2Vec2Model(config), normalise=stable)


FRONT_ENDS = {
    "whisper-base, all layers": (whisper_base, FrontEndChoice("random", pool=4)),
    "xls-r-300m, layer 5": (
        lambda: wav2vec2(1024, 24, 4096, 16, True),
        FrontEndChoice("random", layer=5, pool=4),
    ),
    "xls-r-300m, all layers": (lambda: wav2vec2(1024, 24, 4096, 16, True), FrontEndChoice("random", pool=4)),
}
MORE = {
    "wav2vec2-base, layer 5": (
        lambda: wav2vec2(768, 12, 3072, 12, False),
        FrontEndChoice("random", layer=5, pool=4),
    ),
    "xls-r-1b, layer 5": (
        lambda: wav2vec2(1280, 48, 5120, 16, True),
        FrontEndChoice("random", layer=5, pool=4),
    ),
}


def measure(front_end: FrontEnd, choice: FrontEndChoice, clips: int) -> tuple[float, float]:
    """Give the CPU seconds of the first and of the second epoch."""
    rng = np.random.default_rng(0)
    waves = [(0.1 * rng.standard_normal(CLIP_S * 16_000)).astype(np.float32) for _ in range(clips)]
    times = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(2):
            started = time.process_time()
            with FeatureCache(choice.made_by(front_end), Path(folder)) as cache:
                for _ in cached_features(waves, choice, front_end, cache):
                    pass
            times.append(time.process_time() - started)
    return times[0], times[1]


def main() -> None:
    """Measure, print a table, then one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="wav2vec2-base and XLS-R (1 B) too")
    parser.add_argument("--clips", type=int, default=16)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    results = {}
    print(f"{'front end':26} {'parameters':>11} {'clips/s, first':>15} {'second':>8} {'times faster':>13}")
    for name, (build, choice) in {**FRONT_ENDS, **(MORE if options.all else {})}.items():
        front_end = build()
        front_end.freeze("random")
        first_s, second_s = measure(front_end, choice, options.clips)
        size = sum(parameter.numel() for parameter in front_end.parameters())
        ratio = first_s / second_s
        results[name] = {"clips_per_cpu_s": options.clips / first_s, "times_faster": ratio}
        print(
            f"{name:26} {size / 1e6:9.0f} M {options.clips / first_s:15.2f} "
            f"{options.clips / second_s:8.0f} {ratio:13.0f}"
        )
    print(
        f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}, CPU time of one thread"
    )
    held = all(result["times_faster"] >= BOUND for result in results.values())
    print(json.dumps({"front_ends": results, "clip_s": CLIP_S, "held": held}))


if __name__ == "__main__":
    main()
