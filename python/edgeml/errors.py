# SPDX-License-Identifier: Apache-2.0
"""Every exception that edgeml raises on purpose.

    EdgemlError
    |- UsageError            an option or argument that cannot be (also a ValueError)
    |- InputError            an array whose name, shape or dtype the model does not take (also a ValueError)
    |- ArtifactError         an .edgeml file that is damaged, or not one
    |- IsaError              an instruction set that this machine or build lacks
    |- ConversionError       a model that cannot become an artifact
    |  |- ModelFormatError   not an ONNX file, or a damaged one
    |  |- UnsupportedOperatorError   names op, opset, node and a way out
    |  `- CalibrationError   calibration data that is missing, too little, or not finite
    |- WireError             a telemetry message that breaks docs/design/wire.md
    |- DeviceError           state directory, spool or ledger cannot be used
    |  `- BudgetSpentError   the privacy budget of the day does not cover another release
    `- FleetError            store, broker or configuration of the fleet

Each message is one sentence that says what is wrong, where, and what would fix it.
"""


class EdgemlError(Exception):
    """Root of the tree; the command line prints it as one sentence and exits 2."""


class UsageError(EdgemlError, ValueError):
    """An option or argument that cannot be."""


class InputError(EdgemlError, ValueError):
    """An array whose name, shape or dtype the model does not take."""


class ArtifactError(EdgemlError):
    """An .edgeml file that is damaged, or not one."""


class IsaError(EdgemlError):
    """An instruction set that this machine or build lacks."""


class ConversionError(EdgemlError):
    """A model that cannot become an artifact."""


class ModelFormatError(ConversionError):
    """Not an ONNX file, or a damaged one."""


class UnsupportedOperatorError(ConversionError):
    """An operator, attribute or type outside what the converter supports."""


class CalibrationError(ConversionError):
    """Calibration data that is missing, too little, or not finite."""


class WireError(EdgemlError):
    """A telemetry message that breaks docs/design/wire.md."""


class DeviceError(EdgemlError):
    """State directory, spool or ledger cannot be used."""


class BudgetSpentError(DeviceError):
    """The privacy budget of the day does not cover another release."""


class FleetError(EdgemlError):
    """Store, broker or configuration of the fleet."""
