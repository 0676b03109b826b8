# SPDX-License-Identifier: Apache-2.0
"""`edgeml demo`: five simulated devices with real handwritten digits, a fleet behind them, drift, alarm."""
