"""How lmms-eval finds `--model tierexp`: the entry point `lmms_eval.models` of this package."""

from __future__ import annotations

from lmms_eval.models.registry_v2 import ModelManifest


def manifest() -> ModelManifest:
    """The name of the model, and the class behind it, which is imported when it is asked for."""
    return ModelManifest(
        "tierexp", simple_class_path="tierexp.integrations.lmms_eval.model.TierexpModel"
    )
