# SPDX-License-Identifier: Apache-2.0
"""Rollouts: a model goes to a few devices, then to more, while gates look at what it does; docs/design/release.md."""
