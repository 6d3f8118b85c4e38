"""Names -> models; the only way a checkpoint or a configuration chooses code to run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ringtrue.errors import CheckpointError

if TYPE_CHECKING:
    from torch import nn

MODELS = ("prosody_encoder", "mio", "envelope")
"""Registered architectures. Adding one is a file in this folder, a name here and a line in `_class_of`."""


def create(name: str, **arguments: Any) -> nn.Module:
    """Build a registered model with fresh weights.

    Every model speaks the same words: ``forward(wave) -> (B, K)``, ``frame_logits(wave) -> (B, K, L)``,
    ``embed(wave) -> (B, D)``, ``num_classes``, ``num_features``, ``reset_head(K)``.

    Args:
        name: One of `MODELS`.
        **arguments: The constructor's arguments, all plain JSON values.

    Returns:
        The model in training mode.

    Raises:
        CheckpointError: The name or an argument is unknown.
    """
    if name not in MODELS:
        raise CheckpointError(f"no model named {name!r}; registered: {', '.join(MODELS)}")
    try:
        return _class_of(name)(**arguments)
    except (TypeError, KeyError) as error:
        raise CheckpointError(f"model {name!r} does not take {arguments}: {error}") from error


def _class_of(name: str) -> type[nn.Module]:
    if name == "mio":
        from ringtrue.models.mio import MiO

        return MiO
    if name == "envelope":
        from ringtrue.models.envelope import EnvelopeDetector

        return EnvelopeDetector
    from ringtrue.models.prosody_encoder import ProsodyEncoder

    return ProsodyEncoder
