# SPDX-License-Identifier: Apache-2.0
"""What a device counts: the telemetry schema and the Observer that counts by it."""
