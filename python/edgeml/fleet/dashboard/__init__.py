# SPDX-License-Identifier: Apache-2.0
"""The dashboard: pages rendered on the server, charts as inline SVG, a JSON twin, and metrics for Prometheus."""
