# SPDX-License-Identifier: Apache-2.0
"""Pruning after training: blocks of weights become zero, the others make up for them; pruner.py tells the story."""
