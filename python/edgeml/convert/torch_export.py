# SPDX-License-Identifier: Apache-2.0
"""`from_torch`: a PyTorch module to an artifact, through torch.onnx. Needs edgeml[torch]."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import onnx

from edgeml.artifact import Artifact
from edgeml.convert.converter import convert
from edgeml.errors import ConversionError, UsageError

OPSET = 18


def from_torch(
    module: Any,
    example_inputs: Any,
    *,
    input_names: Sequence[str] | None = None,
    **conversion: Any,
) -> Artifact:
    """Export a torch.nn.Module in evaluation mode with its batch, axis 0 of every input, left free, and convert it.

    example_inputs: a tensor or a tuple of tensors, float32, as the module takes them. input_names: names of the graph inputs, `input`
    or `input_0`, `input_1`, ... if not given. calibration and all other arguments: as for `edgeml.convert`.

    Raises:
        UsageError: torch is not installed.
        ConversionError: torch cannot export the module; else as `edgeml.convert`.
    """
    torch = _torch()
    inputs = tuple(example_inputs) if isinstance(example_inputs, (tuple, list)) else (example_inputs,)
    names = list(input_names or (["input"] if len(inputs) == 1 else [f"input_{i}" for i in range(len(inputs))]))
    training = module.training
    module.eval()
    try:
        data = _exported(torch, module, inputs, names)
    except Exception as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ConversionError(f"torch cannot export the module: {first}") from error
    finally:
        module.train(training)
    return convert(data, **conversion)


def _torch() -> Any:
    try:
        import torch  # noqa: PLC0415 (an optional extra)
        import torch.onnx  # noqa: PLC0415
    except ImportError as error:
        raise UsageError(
            f"PyTorch cannot be imported ({error}); install it with: pip install 'edgeml[torch]'"
        ) from error
    return torch


def _exported(torch: Any, module: Any, inputs: tuple[Any, ...], names: list[str]) -> onnx.ModelProto:
    batch = torch.export.Dim("N", min=1)
    program = torch.onnx.export(
        module,
        inputs,
        input_names=names,
        opset_version=OPSET,
        dynamo=True,
        dynamic_shapes=tuple({0: batch} for _ in inputs),
        verbose=False,
    )
    stream = io.BytesIO()
    program.save(stream)
    model: onnx.ModelProto = onnx.load_model_from_string(stream.getvalue())
    return model
