# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np

from edgeml.ir import Graph, Node, Tensor

F32 = np.dtype(np.float32)


def fork() -> Graph:
    """x -> a -> (b, c), both outputs but a."""
    tensors = {name: Tensor(name, (3, 2), F32) for name in "xabc"}
    nodes = tuple(Node("Relu", f"to_{y}", (x,), (y,)) for x, y in ("xa", "ab", "ac"))
    return Graph("fork", tensors, nodes, ("x",), ("b", "c"), 13)


def test_who_makes_and_who_reads() -> None:
    graph = fork()
    assert graph.producer("a") is graph.nodes[0]
    assert graph.producer("x") is None
    assert graph.consumers("a") == graph.nodes[1:]
    assert graph.sole_consumer("x") is graph.nodes[0]
    assert graph.sole_consumer("a") is None
    assert graph.batch == 3


def test_a_graph_output_has_no_sole_consumer() -> None:
    graph = fork()
    longer = graph.with_nodes([*graph.nodes, Node("Relu", "d", ("c",), ("d",))], [Tensor("d", (3, 2), F32)])
    assert longer.consumers("c")
    assert longer.sole_consumer("c") is None


def test_replacing_puts_the_new_nodes_where_the_last_old_one_stood() -> None:
    graph = fork()
    joined = Node("Tanh", "joined", ("x",), ("b",))
    result = graph.replaced([graph.nodes[0], graph.nodes[1]], [joined], [Tensor.constant("k", np.ones(1, np.float32))])
    assert [node.name for node in result.nodes] == ["joined", "to_c"]
    assert result.constant("k") is not None
    assert graph.constant("k") is None
    assert len(graph.nodes) == 3


def test_unused_names() -> None:
    graph = fork()
    assert graph.unused_name("z") == "z"
    assert graph.unused_name("a") == "a_2"
