"""A calibration and a model that is already there -> the same model, deciding by it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ringtrue.errors import CheckpointError, ScoresError, require
from ringtrue.evaluation.calibrate import Band
from ringtrue.evaluation.mappings import Fusion, map_from
from ringtrue.files import atomic_path, sha256_file
from ringtrue.inference.session import METADATA_KEY, open_session, read_card
from ringtrue.models import checkpoint


def store_calibration(path: str | Path, stored: Mapping[str, Any], force: bool = False) -> list[Path]:
    """Write a calibration, and what it was fitted on, into a model, and into the checkpoint that it came from.

    A threshold from one's own bona fide recordings moves the lower end of the band of a model that is calibrated
    already: what lies below it is called spoof.

    Args:
        path: An exported ``.onnx``, or the checkpoint beside it.
        stored: What `fitting.calibrate_files` wrote.
        force: Go on although the scores are not known to be this model's.

    Returns:
        The files that were changed.

    Raises:
        CheckpointError: There is no such model, or another one made the scores.
        ScoresError: The calibration is damaged, of several models, or a threshold for a model without a map.
        MissingExtraError: onnx is absent.
    """
    exported = Path(path).with_suffix(".onnx")
    card = read_card(open_session(exported, threads=1), exported)
    sha256 = sha256_file(exported)
    fitted_on = dict(stored.get("fitted_on", {}))
    known = {sha256, card["calibration"].get("fitted_on", {}).get("model_sha256")}
    if not force and fitted_on.get("model_sha256") not in known:
        made = fitted_on.get("model_sha256", "an unknown model")[:16]
        raise CheckpointError(
            f"{exported} ({sha256[:16]}) did not make the scores of this calibration ({made} did): score with this "
            "model first, or use --force if you know better"
        )
    calibration = _of_card(stored, card["calibration"], exported)
    changed = [exported]
    trained = exported.with_suffix(".safetensors")
    if trained.is_file() and card["checkpoint_sha256"] == sha256_file(trained):
        model, model_card = checkpoint.load(trained)
        checkpoint.save(trained, model, replace(model_card, calibration=calibration))
        card["checkpoint_sha256"] = sha256_file(trained)
        changed.append(trained)
    _write_card(exported, {**card, "calibration": calibration})
    return changed


def _of_card(stored: Mapping[str, Any], before: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Make what a card holds of what a calibration file holds."""
    if stored.get("kind") != "threshold":
        if isinstance(map_from(stored), Fusion):
            raise ScoresError("a fusion is of several models, and cannot be stored in one")
        return _public(stored)
    if not before:
        raise ScoresError(
            f"{path} is not calibrated: a threshold needs a map, which scores of both labels give"
        )
    fitted = map_from(before)
    assert not isinstance(fitted, Fusion)
    lower = float(fitted.apply(stored["reject_below"]))
    upper, rate = max(lower, Band.from_dict(before["band"]).upper), float(stored["rate"])
    own = stored["fitted_on"]["bonafide_trials"]
    return {
        **before,
        "band": Band(lower, upper, rate).to_dict(),
        "bonafide_rejection_rate": rate,
        "measured_on": f"{before['measured_on']}; spoof below from {own} bona fide recordings of the user's",
        "threshold": _public(stored),
    }


def _public(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out where files lay on the machine of whoever fitted it: models travel."""
    kept = {name: value for name, value in stored.items() if name != "command"}
    if "fitted_on" in kept:
        hashes = {Path(path).name: sha256 for path, sha256 in kept["fitted_on"].get("sha256", {}).items()}
        kept["fitted_on"] = {**kept["fitted_on"], "sha256": hashes}
    return kept


def _write_card(path: Path, card: Mapping[str, Any]) -> None:
    onnx = require("onnx", "train")
    proto = onnx.load(str(path))
    onnx.helper.set_model_props(proto, {METADATA_KEY: json.dumps(card, sort_keys=True)})
    with atomic_path(path) as temporary:
        onnx.save(proto, str(temporary))
