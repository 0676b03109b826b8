# SPDX-License-Identifier: Apache-2.0
"""Whole models through edgeml and through other runtimes, side by side: `python -m bench.peers`."""
