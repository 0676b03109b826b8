# SPDX-License-Identifier: Apache-2.0
"""edgeml: int8 inference at the edge, the same bits on every CPU, with private telemetry and a fleet behind it.

    artifact = edgeml.convert("model.onnx", calibration="calibration.npz")    # needs edgeml[convert]
    artifact.save("model.edgeml")
    session = edgeml.InferenceSession("model.edgeml")
    outputs = session.run(None, {"input": x})

Importing this package imports numpy and the native core, nothing else; other names load what they need on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from edgeml.session import InferenceSession

if TYPE_CHECKING:
    from edgeml import onnx_backend as onnx_backend
    from edgeml.artifact import Artifact
    from edgeml.convert.converter import convert
    from edgeml.convert.options import ConvertOptions
    from edgeml.convert.torch_export import from_torch
    from edgeml.device.monitor import Monitor
    from edgeml.privacy import PrivacyBudget

__version__ = "0.1.0"
__all__ = [
    "Artifact",
    "ConvertOptions",
    "InferenceSession",
    "Monitor",
    "PrivacyBudget",
    "__version__",
    "convert",
    "from_torch",
]

_HOMES = {
    "Artifact": "edgeml.artifact",
    "ConvertOptions": "edgeml.convert.options",
    "Monitor": "edgeml.device.monitor",
    "PrivacyBudget": "edgeml.privacy",
    "from_torch": "edgeml.convert.torch_export",
}


def __getattr__(name: str) -> Any:
    if name == "convert":  # a package that can be called (edgeml/convert/__init__.py)
        return importlib.import_module("edgeml.convert")
    if name == "onnx_backend":  # needs edgeml[convert]
        return importlib.import_module("edgeml.onnx_backend")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'edgeml' has no attribute {name!r}")
