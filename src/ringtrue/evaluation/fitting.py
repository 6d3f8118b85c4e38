"""Files of development scores -> calibration.json, and test scores mapped by it: what `ringtrue calibrate` does."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ringtrue.errors import ScoresError
from ringtrue.evaluation.calibrate import fit_affine, threshold_for_bonafide_rejection
from ringtrue.evaluation.judge import Question, read_models
from ringtrue.evaluation.mappings import Fusion, Map, fit_fusion, fit_monotone, map_from, operating_point
from ringtrue.evaluation.metrics import act_dcf, cllr, eer
from ringtrue.evaluation.scores import Scores, read_scores, write_scores
from ringtrue.files import sha256_file, sha256_path, write_json

_TEST_SPLITS = ("test", "test_seen", "eval")


def calibrate_files(
    question: Question,
    method: Literal["affine", "monotone"],
    rate: float,
    out: Path,
    apply: Sequence[Path] | None = None,
    to: Path | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> list[str]:
    """Fit a calibration on scores files, write it, and map test scores by it.

    A file with bona fide trials only, such as a few dozen recordings of one's own, gives the threshold that
    keeps the promised rate for them, and no log-likelihood ratios.

    Args:
        question: The development scores; several files of the same trials are fused.
        method: What map to fit to one file.
        rate: The share of each class that the band may miscall, in (0, 1).
        out: The JSON file to write.
        apply: Test scores to map, one file for each of the development files.
        to: Where the mapped scores go.
        say: Takes a line for each finding.

    Returns:
        Lines that say what was fitted, and how it did on the trials it was fitted on.

    Raises:
        ScoresError: A file is wrong, holds test trials, or cannot be calibrated.
    """
    first = read_scores(question.files[0], question.key, labels=question.labels, columns=question.columns)
    forced = _check_not_test(first, question)
    fitted_on = _fitted_on(question, first)
    made = {"fitted_on": fitted_on, "forced": forced, "ringtrue": version("ringtrue")}
    made["command"] = shlex.join(["ringtrue", *sys.argv[1:]])
    if not first.spoof.size:
        threshold = threshold_for_bonafide_rejection(first.bonafide, rate)
        write_json(out, {"kind": "threshold", "reject_below": threshold, "rate": rate, **made})
        return [
            f"{out}: reject below {threshold:.6g}; at most {rate:.1%} of recordings like these are rejected"
        ]
    models = read_models(question, say)
    side_by_side = [scores.align(first.trials) for scores in models.values()]
    fitted = _fit(dict(zip(models, side_by_side, strict=True)), method)
    llrs = apply_map(fitted, [scores.scores for scores in side_by_side])
    bonafide, spoof = llrs[first.is_bonafide], llrs[~first.is_bonafide]
    point = operating_point(fitted, bonafide, spoof, rate)
    figures = {
        "cllr": cllr(bonafide, spoof),
        "act_dcf": act_dcf(bonafide, spoof),
        "eer": eer(bonafide, spoof),
    }
    write_json(out, {**point, "on_development": figures, **made})
    kind, band = point["kind"], point["band"]
    lines = [
        f"{out}: {kind} map fitted on {point['measured_on']}",
        f"Cllr {cllr(first.bonafide, first.spoof):.4f} raw, {figures['cllr']:.4f} calibrated; actDCF "
        f"{act_dcf(first.bonafide, first.spoof):.4f} raw, {figures['act_dcf']:.4f} calibrated "
        "(on the trials it was fitted on: test trials decide)",
        f"spoof below LLR {band['lower']:.3f}, bona fide from {band['upper']:.3f}, inconclusive between: "
        f"at most {rate:.1%} of either class is called the other",
    ]
    if apply:
        lines.append(_map_files(out, fitted, kind, apply, to or Path("calibrated.tsv"), question))
    return lines


def read_calibration(path: str | Path) -> Map:
    """Read a calibration that `calibrate_files` wrote.

    Args:
        path: The JSON file.

    Returns:
        The map.

    Raises:
        ScoresError: It is missing, damaged, or a threshold only.
    """
    stored = read_stored(path)
    try:
        return map_from(stored)
    except ScoresError as error:
        raise ScoresError(f"{path}: {error}") from error


def read_stored(path: str | Path) -> dict[str, Any]:
    """Read the whole of a calibration file.

    Args:
        path: The JSON file.

    Returns:
        What `calibrate_files` wrote.

    Raises:
        ScoresError: It is missing, or something else.
    """
    try:
        stored = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ScoresError(f"no calibration at {path}; `ringtrue calibrate` makes one") from error
    except (OSError, ValueError) as error:
        raise ScoresError(f"{path} is no calibration that `ringtrue calibrate` wrote: {error}") from error
    if not isinstance(stored, dict) or "kind" not in stored:
        raise ScoresError(f"{path} is no calibration that `ringtrue calibrate` wrote")
    return stored


def apply_map(fitted: Map, scores: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Turn the scores of one model, or of several, into log-likelihood ratios.

    Args:
        fitted: The map.
        scores: The scores of each model, on the same trials.

    Returns:
        Log-likelihood ratios.

    Raises:
        ScoresError: There are more or fewer models than it was fitted on.
    """
    if isinstance(fitted, Fusion):
        return fitted.apply(scores)
    if len(scores) != 1:
        raise ScoresError(f"{len(scores)} models' scores; this calibration is of one model")
    return fitted.apply(scores[0])


def _fit(models: Mapping[str, Scores], method: str) -> Map:
    bonafide = [scores.bonafide for scores in models.values()]
    spoof = [scores.spoof for scores in models.values()]
    if len(models) > 1:
        if method != "affine":
            raise ScoresError(f"{len(models)} files with --method {method}; fusion of several is affine")
        return fit_fusion(list(models), bonafide, spoof)
    return (fit_monotone if method == "monotone" else fit_affine)(bonafide[0], spoof[0])


def _check_not_test(scores: Scores, question: Question) -> list[str]:
    """Refuse to fit on trials that figures will be computed from."""
    splits = [scores.columns[name].distinct() for name in ("split", "subset") if name in scores.columns]
    found = sorted({split for column in splits for split in column} & set(_TEST_SPLITS))
    if not found:
        return []
    problem = f"{question.files[0]} holds trials of the split {', '.join(found)}"
    if not question.force:
        raise ScoresError(
            f"{problem}; a calibration fitted on test trials makes their figures worthless: fit it on dev scores. "
            "--force goes on and marks the file"
        )
    return [problem]


def _fitted_on(question: Question, scores: Scores) -> dict[str, Any]:
    files = [*question.files, *([question.key] if question.key else [])]
    described: dict[str, Any] = {"sha256": {str(path): sha256_path(path) for path in files}}
    described |= {"bonafide_trials": scores.bonafide.size, "spoof_trials": scores.spoof.size}
    described |= {key: scores.metadata[key] for key in ("model", "model_sha256") if key in scores.metadata}
    for column in ("split", "corpus", "system"):
        if column in scores.columns and (values := [v for v in scores.column(column).distinct() if v]):
            described[column] = values
    return described


def _map_files(
    calibration: Path, fitted: Map, kind: str, files: Sequence[Path], to: Path, question: Question
) -> str:
    read = [
        read_scores(path, question.key, labels=question.labels, columns=question.columns) for path in files
    ]
    aligned = [scores.align(read[0].trials) for scores in read]
    llrs = apply_map(fitted, [scores.scores for scores in aligned])
    first = aligned[0]
    metadata = {
        **first.metadata,
        "calibration": kind,
        "calibration_sha256": sha256_file(calibration),
        "raw_scores_sha256": {str(path): sha256_path(path) for path in files},
    }
    write_scores(to, Scores(first.trials, first.labels, llrs, first.columns, metadata))
    return f"{to}: {len(first)} log-likelihood ratios"
