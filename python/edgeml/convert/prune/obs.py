# SPDX-License-Identifier: Apache-2.0
"""Block Optimal Brain Surgeon on one layer: in which order blocks go, what each costs, and the best weights that remain.

Removing block B of a group of r rows costs sum over its rows of w_B (H^-1_BB)^-1 w_B^T and moves the other weights of a row by
-w_B (H^-1_BB)^-1 H^-1_B (Optimal Brain Compression, arXiv 2208.11580, with r rows that share H^-1 and their zeros).
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from edgeml.artifact.block_sparse import BLOCK_COLUMNS

Array = npt.NDArray[Any]
STEP_SHARE: Final = 1 / 8  # of the blocks that are left go in one step, with one joint correction
CHUNK_BYTES: Final = 8 * 2**20  # of the inverses that are worked on at a time: they fit a cache


class Trace(NamedTuple):
    """Of every group of r rows, in order of removal: block index int [groups, blocks] and the squared error it adds, float64."""

    order: Array
    cost: Array


def removal_trace(rows: Array, gram: Array, block_rows: int) -> Trace:
    """Remove block after block until none is left. rows float64 [O, K], O a multiple of block_rows; gram [K, K]."""
    inverse = np.linalg.inv(gram)
    groups = rows.reshape(-1, block_rows, rows.shape[1])
    chunk = max(1, CHUNK_BYTES // inverse.nbytes)
    parts = [_trace(groups[i : i + chunk], inverse) for i in range(0, len(groups), chunk)]
    return Trace(np.concatenate([part.order for part in parts]), np.concatenate([part.cost for part in parts]))


def _trace(groups: Array, inverse: Array) -> Trace:
    """Groups [g, r, K]. All groups lose the same number of blocks in a step, so arrays stay rectangular and shrink."""
    count, _, columns = groups.shape
    w = groups.copy()
    h = np.broadcast_to(inverse, (count, columns, columns)).copy()
    left = np.broadcast_to(np.arange(columns // BLOCK_COLUMNS), (count, columns // BLOCK_COLUMNS))
    order, cost = [], []
    while left.shape[1]:
        saliency = _saliency(w, h)
        step = max(1, int(left.shape[1] * STEP_SHARE))
        ranked = np.argsort(saliency, axis=1, kind="stable")
        gone, kept = ranked[:, :step], np.sort(ranked[:, step:], axis=1)
        order.append(np.take_along_axis(left, gone, 1))
        w, h, added = _remove(w, h, _columns(gone), _columns(kept))
        single = np.take_along_axis(saliency, gone, 1)
        total = single.sum(axis=1, keepdims=True)
        share = np.divide(single, total, out=np.full_like(single, 1 / step), where=total > 0)
        cost.append(share * added[:, None])
        left = np.take_along_axis(left, kept, 1)
    return Trace(np.concatenate(order, axis=1), np.concatenate(cost, axis=1))


def _saliency(w: Array, h: Array) -> Array:
    """[g, blocks]: what the removal of each block alone would cost."""
    count, r, columns = w.shape
    blocks = columns // BLOCK_COLUMNS
    tiled = h.reshape(count, blocks, BLOCK_COLUMNS, blocks, BLOCK_COLUMNS)
    diagonal = np.moveaxis(np.diagonal(tiled, axis1=1, axis2=3), -1, 1)  # [g, blocks, 4, 4]
    wb = np.moveaxis(w.reshape(count, r, blocks, BLOCK_COLUMNS), 1, 3)  # [g, blocks, 4, r]
    found: Array = (wb * np.linalg.solve(diagonal, wb)).sum(axis=(2, 3))
    return found


def _columns(blocks: Array) -> Array:
    """Column indices [g, 4 n] of block indices [g, n]."""
    return (blocks[:, :, None] * BLOCK_COLUMNS + np.arange(BLOCK_COLUMNS)).reshape(len(blocks), -1)


def _remove(w: Array, h: Array, gone: Array, kept: Array) -> tuple[Array, Array, Array]:
    """Weights and inverse of the columns that stay, and the squared error of the step, [g]."""
    h_gone = np.take_along_axis(h, gone[:, :, None], 1)
    h_gg = np.take_along_axis(h_gone, gone[:, None, :], 2)
    h_gk = np.take_along_axis(h_gone, kept[:, None, :], 2)
    w_gone = np.take_along_axis(w, gone[:, None, :], 2)
    pulled = np.linalg.solve(h_gg, np.concatenate([h_gk, w_gone.transpose(0, 2, 1)], axis=2))
    to_kept, to_self = pulled[:, :, : kept.shape[1]], pulled[:, :, kept.shape[1] :]
    added = (w_gone.transpose(0, 2, 1) * to_self).sum(axis=(1, 2))
    h_kk = np.take_along_axis(np.take_along_axis(h, kept[:, :, None], 1), kept[:, None, :], 2)
    h_kk -= h_gk.transpose(0, 2, 1) @ to_kept
    return np.take_along_axis(w, kept[:, None, :], 2) - w_gone @ to_kept, h_kk, added


def removal_sequence(trace: Trace) -> Array:
    """Flat indices into the trace, the cheapest removal of the whole layer first; within a group the order of the trace holds."""
    later = np.maximum.accumulate(trace.cost, axis=1)  # a removal is never taken before those that it follows
    return np.argsort(later, axis=None, kind="stable")


def kept_weights(trace: Trace, removed: int, block_rows: int) -> Array:
    """Mask bool [O, K] after the `removed` cheapest removals of the whole layer."""
    groups, blocks = trace.order.shape
    counts = np.bincount(removal_sequence(trace)[:removed] // blocks, minlength=groups)
    mask = np.ones((groups, blocks), bool)
    np.put_along_axis(mask, trace.order, np.arange(blocks) >= counts[:, None], axis=1)
    return np.repeat(np.repeat(mask, BLOCK_COLUMNS, axis=1), block_rows, axis=0)


def layer_errors(trace: Trace) -> Array:
    """[groups * blocks + 1]: squared error of the layer after 0, 1, 2, ... removals."""
    return np.concatenate([[0.0], np.cumsum(trace.cost.reshape(-1)[removal_sequence(trace)])])


def removed_weights(trace: Trace, sizes: Array) -> Array:
    """[groups * blocks + 1]: weights gone after 0, 1, 2, ... removals; sizes [groups, blocks] are those of blocks, padding left out."""
    gone = np.take_along_axis(sizes, trace.order, axis=1).reshape(-1)[removal_sequence(trace)]
    return np.concatenate([[0], np.cumsum(gone)])


def refit(mask: Array, gram: Array, cross: Array) -> Array:
    """The weights [O, K] that are zero outside mask [O, K] and solve G W^T = C on it; rows with equal masks are solved at once."""
    result = np.zeros(mask.shape)
    _, which = np.unique(np.packbits(mask, axis=1), axis=0, return_inverse=True)
    which = which.reshape(-1)
    for number in range(int(which.max()) + 1):
        rows = np.flatnonzero(which == number)
        columns = np.flatnonzero(mask[rows[0]])
        if len(columns):
            solved = np.linalg.solve(gram[np.ix_(columns, columns)], cross[np.ix_(columns, rows)])
            result[np.ix_(rows, columns)] = solved.T
    return result
