# SPDX-License-Identifier: Apache-2.0
"""edgeml: int8 inference at the edge, the same bits on every CPU, with private telemetry and a fleet behind it."""

__version__ = "0.1.0"
