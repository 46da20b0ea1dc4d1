"""Molmo's vision backbone as OpenVINO compiles it, for CPUs.

In: the backbone with its weights. Out: what encodes views, in float32. The graph is torch's own
export of `VisionBackbone.views`, for any number of views; nothing is written to the disk.
"""

from __future__ import annotations

import logging

import openvino
import torch
from openvino.frontend import FrontEndManager
from openvino.frontend.pytorch.fx_decoder import TorchFXPythonDecoder
from torch import Tensor

from tierexp.errors import ConfigError
from tierexp.models.molmo.vision_backbone import VisionBackbone

PRECISION = "f32"
"""Asked for by name: left to itself, OpenVINO computes in bfloat16 where the processor can."""

_log = logging.getLogger(__name__)


class OpenVinoEncoder:
    """A `ViewEncoder`.

    Args:
        backbone: On a CPU, in float32.

    Raises:
        ConfigError: It is elsewhere or in another precision, or OpenVINO says it would compute in
            another.
    """

    def __init__(self, backbone: VisionBackbone) -> None:
        weight = backbone.pad_embed
        if weight.device.type != "cpu":
            raise ConfigError("model.backend", "openvino", f"eager or compile on {weight.device}")
        if weight.dtype != torch.float32:
            allowed = f"eager or compile with weights in {weight.dtype}"
            raise ConfigError("model.backend", "openvino", allowed)
        self._backbone = backbone
        self._requests = {torch.uint8: self._compiled(torch.uint8)}
        version = openvino.__version__.partition("-")[0]
        _log.info("vision encoder: OpenVINO %s, %s", version, self.precision)

    def _compiled(self, dtype: torch.dtype) -> openvino.InferRequest:
        """What encodes pixels of that dtype."""
        compiled = openvino.Core().compile_model(
            _graph(self._backbone, dtype),
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": PRECISION,
                "INFERENCE_NUM_THREADS": torch.get_num_threads(),
                "NUM_STREAMS": 1,
            },
        )
        self.precision = str(compiled.get_property("INFERENCE_PRECISION_HINT").to_string())
        """What OpenVINO computes in, as it says itself."""
        if self.precision != PRECISION:
            allowed = f"eager or compile: OpenVINO would compute in {self.precision} here"
            raise ConfigError("model.backend", "openvino", allowed)
        return compiled.create_infer_request()

    def __call__(self, pixels: Tensor, patch_mask: Tensor) -> Tensor:
        """See `VisionBackbone.views`."""
        if pixels.dtype not in self._requests:
            self._requests[pixels.dtype] = self._compiled(pixels.dtype)
        request = self._requests[pixels.dtype]
        request.infer([pixels.numpy(), patch_mask.numpy()])
        # The request's memory is written to again by the next views.
        return torch.from_numpy(request.get_output_tensor().data.copy())


class _Views(torch.nn.Module):
    """`VisionBackbone.views` as what can be exported."""

    def __init__(self, backbone: VisionBackbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, pixels: Tensor, patch_mask: Tensor) -> Tensor:
        """See `VisionBackbone.views`."""
        return self.backbone.views(pixels, patch_mask)


def _graph(backbone: VisionBackbone, dtype: torch.dtype) -> openvino.Model:
    side = backbone.patch_size * backbone.patches_per_side
    # Three, since an example of one or two would say that there never are more.
    pixels = torch.zeros(3, side, side, 3, dtype=dtype)
    patch_mask = torch.ones(3, backbone.patches_per_side**2)
    views = torch.export.Dim("views", min=1)
    with torch.no_grad():
        exported = torch.export.export(
            _Views(backbone), (pixels, patch_mask), dynamic_shapes=({0: views}, {0: views})
        )
    # As `openvino.convert_model` does, which in addition sends word of its use to Intel.
    frontend = FrontEndManager().load_by_framework("pytorch")
    root = logging.getLogger()
    root.addFilter(_is_worth_saying)
    try:
        # Has to outlive the conversion.
        decoder = TorchFXPythonDecoder.from_exported_program(exported)
    finally:
        root.removeFilter(_is_worth_saying)
    return frontend.convert(frontend.load(decoder))


def _is_worth_saying(record: logging.LogRecord) -> bool:
    """Not that torch no longer takes an operation apart, with a traceback for each."""
    return "not found in decomp table" not in record.getMessage()
