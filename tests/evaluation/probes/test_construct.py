import sys

import numpy as np
import pytest

from ringtrue.errors import RingtrueError, ScoresError
from ringtrue.evaluation.probes import construct


def versions(clip, rng):
    return {"untrimmed": clip, "real": clip, "padded": np.pad(clip, 8_000), "telephone": 0.5 * clip}


def test_a_scorer_that_hears_silence_only_is_found_out(speechlike):
    stimuli = [versions(speechlike(0.6, seed), None) for seed in range(12)]
    scores = construct.score_stimuli(lambda clips: np.array([float(len(clip)) for clip in clips]), stimuli)
    speakers = [f"s{place % 4}" for place in range(12)]
    found = construct.sensitivities(scores, speakers, 0)
    assert found["silence"].value == 1.0
    assert found["channel"].value == 0.0
    assert "prosody" not in found
    assert found["silence"].auc == 0.0  # padded clips score higher


def test_shifts_are_in_deviations_and_have_intervals():
    rng = np.random.default_rng(0)
    real = rng.normal(0, 2.0, 60)
    scores = {
        "untrimmed": real,
        "real": real,
        "reversed": real - 4.0,
        "padded": real + rng.normal(0, 0.1, 60),
    }
    moved = construct.shifts(scores, [f"s{place % 10}" for place in range(60)], 0)
    assert moved["reversed"].mean == pytest.approx(-4.0 / real.std())
    assert moved["padded"].low < 0 < moved["padded"].high
    assert "real" not in moved


def test_a_speaker_effect_is_found_and_its_absence_too():
    rng = np.random.default_rng(0)
    speakers = np.repeat([f"s{number}" for number in range(10)], 8)
    by_speaker = np.repeat(rng.normal(0, 3, 10), 8) + rng.normal(0, 1, 80)
    assert construct.omega_squared(by_speaker, speakers) > 0.7
    assert construct.omega_squared(rng.normal(size=80), speakers) < 0.12
    assert construct.omega_squared(np.ones(80), speakers) == 0.0


@pytest.fixture
def scorer(tmp_path):
    def write(code):
        path = tmp_path / "scorer.py"
        path.write_text(f"import sys\nfiles = open(sys.argv[1]).read().split()\n{code}\n")
        return construct.of_command(f"{sys.executable} {path} {{list}}")

    return write


def test_a_command_scores_files_by_line_or_by_name(scorer, speechlike):
    clips = [speechlike(0.5), speechlike(1.0)]
    sizes = "import os\nfor f in files: print(os.path.getsize(f))"
    assert scorer(sizes)(clips).tolist() == [16_044, 32_044]
    named = "import os\nfor f in reversed(files): print(f, os.path.getsize(f), sep='\\t')"
    assert scorer(named)(clips).tolist() == [16_044, 32_044]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("print(1)", "printed 1 lines for 2 files"),
        ("for f in files: print('good')", "wanted: a number"),
        ("for f in files: print('nan')", "2 files without a finite score"),
        ("for f in files: print('x.wav', 1, sep='\\t')", "not in its list"),
        ("sys.exit('no model')", "status 1: no model"),
    ],
)
def test_a_command_that_misbehaves_is_refused_in_one_line(scorer, speechlike, code, message):
    with pytest.raises(RingtrueError, match=message) as caught:
        scorer(code)([speechlike(0.2), speechlike(0.2)])
    assert "\n" not in str(caught.value)


def test_a_command_must_say_where_the_list_goes_and_exist(speechlike):
    with pytest.raises(ScoresError, match=r"write \{list\}"):
        construct.of_command("detect")
    with pytest.raises(RingtrueError, match="is not there"):
        construct.of_command("no-such-detector {list}")([speechlike(0.2)])
