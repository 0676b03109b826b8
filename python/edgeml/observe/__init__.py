# SPDX-License-Identifier: Apache-2.0
"""What a device counts: the telemetry schema and the Observer that counts by it."""

from edgeml.observe.observer import Observer
from edgeml.observe.schema import Feature, TelemetrySchema

__all__ = ["Feature", "Observer", "TelemetrySchema"]
