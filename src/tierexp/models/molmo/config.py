"""The configuration of a whole Molmo.

In: the decoded `config.json` of a checkpoint. Out: a frozen dataclass of sizes that fit each other.
Knows nothing about tensors, so that a run can be described without importing torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from tierexp.errors import CheckpointError, ConfigError
from tierexp.models.checkpoint_files import CONFIG_FILE, read_object
from tierexp.models.molmo.mask_order import MaskOrder
from tierexp.models.molmo.published_json import (
    MASK_ORDER_KEY,
    connector_json,
    decoder_json,
    read_connector,
    read_decoder,
    read_pair,
    read_vision,
    refuse_unimplemented,
    vision_json,
)
from tierexp.models.molmo.sizes import ConnectorConfig, DecoderConfig, VisionConfig
from tierexp.tiers.geometry import CropGeometry


@dataclass(frozen=True)
class MolmoConfig:
    """A whole model.

    Args:
        vision: The vision encoder.
        connector: What turns its features into vision tokens.
        decoder: The language model.
        overlap_margins: Margins of the crops it was trained on (`CropGeometry`).
        mask_order: The order of patch-mask rows it was trained on.
    """

    vision: VisionConfig
    connector: ConnectorConfig
    decoder: DecoderConfig
    overlap_margins: tuple[int, int] = (4, 4)
    mask_order: MaskOrder = "shifted"

    @property
    def geometry(self) -> CropGeometry:
        """The crops the model takes."""
        return CropGeometry(
            crop_size=self.vision.crop_size,
            patch_size=self.vision.patch_size,
            overlap_margins=self.overlap_margins,
            pooling=self.connector.pooling,
        )

    @classmethod
    def from_checkpoint_json(cls, values: Mapping[str, Any]) -> MolmoConfig:
        """Read a decoded `config.json`.

        Two keys are this project's own: `image_mask_order` (`aligned` or `shifted`; the released
        checkpoints lack it and are shifted) and `image_projector_hidden_size` (the released ones
        lack it: the projector is as wide as the MLP).

        Raises:
            CheckpointError: Not the configuration of a Molmo model, a size is missing or does not
                fit another, or a key asks for what is not implemented or not known.
        """
        if values.get("model_type", "molmo") != "molmo":
            raise CheckpointError(f"config.json: model_type={values['model_type']!r} is not molmo")
        refuse_unimplemented(values)
        return cls.from_sizes(values)

    @classmethod
    def from_sizes(cls, values: Mapping[str, Any]) -> MolmoConfig:
        """Read the sizes of a `config.json`; keys beside them are passed over.

        Raises:
            CheckpointError: A size is missing or does not fit another.
        """
        decoder = read_decoder(values)
        config = cls(
            vision=read_vision(values),
            connector=read_connector(values, decoder.mlp_width),
            decoder=decoder,
            overlap_margins=read_pair(values, "overlap_margins", (4, 4)),
            mask_order=values.get(MASK_ORDER_KEY, "shifted"),
        )
        _refuse_misfits(config)
        return config

    def to_checkpoint_json(self) -> dict[str, Any]:
        """What `from_checkpoint_json` reads back as this configuration, in the published style of
        its kind.
        """
        return {
            "model_type": "molmo",
            **decoder_json(self.decoder),
            **connector_json(self.connector),
            **vision_json(self.vision),
            "overlap_margins": list(self.overlap_margins),
            MASK_ORDER_KEY: self.mask_order,
        }


def read_config(folder: Path) -> MolmoConfig:
    """The sizes in a folder's `config.json`.

    Raises:
        CheckpointError: There is none, or it is not Molmo's.
    """
    values = read_object(folder / CONFIG_FILE)
    try:
        return MolmoConfig.from_checkpoint_json(values)
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: {error}") from None


def _refuse_misfits(config: MolmoConfig) -> None:
    """Refuse sizes that do not fit each other."""
    vision, decoder = config.vision, config.decoder
    orders = get_args(MaskOrder)
    layers = range(-vision.num_layers, vision.num_layers)
    misfits = [
        (
            vision.width % vision.num_heads,
            f"{vision.num_heads} heads do not divide the vision width {vision.width}",
        ),
        (
            decoder.width % (2 * decoder.num_heads),
            f"{decoder.num_heads} heads do not divide the width {decoder.width} into even parts",
        ),
        (
            decoder.num_heads % decoder.num_kv_heads,
            f"{decoder.num_kv_heads} key heads do not divide {decoder.num_heads} heads",
        ),
        (
            min(decoder.mlp_width, config.connector.hidden_width) < 1,
            f"an MLP of {decoder.mlp_width} and a projector of {config.connector.hidden_width} "
            "channels cannot both be built",
        ),
        (
            not vision.feature_layers or any(n not in layers for n in vision.feature_layers),
            f"vit_layers {list(vision.feature_layers)} are not among {vision.num_layers} layers",
        ),
        (
            (decoder.top_k or 0) > (decoder.num_experts or 0),
            f"moe_top_k={decoder.top_k} is above moe_num_experts={decoder.num_experts}",
        ),
        (
            config.mask_order not in orders,
            f"{MASK_ORDER_KEY}={config.mask_order!r} is not one of {', '.join(orders)}",
        ),
    ]
    for misfit, complaint in misfits:
        if misfit:
            raise CheckpointError(f"config.json: {complaint}")
    try:
        _ = config.geometry
    except ConfigError as error:
        raise CheckpointError(f"config.json: {error}") from None
