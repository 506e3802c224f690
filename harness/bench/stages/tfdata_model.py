"""What tf.data's own model tells of each operation of a pipeline: the one place that asks it.

Its times have elapsed in an operation itself, without those before it, in all of its threads together: they are no CPU
time, and an operation that sleeps takes as much of it as one that computes. ``get_model_proto`` has no documentation
(before TensorFlow 2.18 it was no public name), and where it is not there, or autotuning is off, there is no answer.
"""

from __future__ import annotations

from typing import Any, TypedDict

from ..protocol.protocol import as_number


class Node(TypedDict):
    """An operation: elements that it made, seconds in it, bytes that it made, threads (None where it has one)."""

    name: str
    elements: int
    elapsed_s: float
    bytes: int
    parallelism: float | None


def read_nodes(iterator: Any) -> list[Node] | None:
    """Return the operations of an iterator's pipeline, the source first; None where TensorFlow does not tell them.

    The iterator must have come to its end, and still be held.
    """
    try:
        from tensorflow.python.data.experimental.ops.iterator_model_ops import get_model_proto

        model = get_model_proto(iterator)
        nodes = [_read_node(model.nodes[key]) for key in sorted(model.nodes, reverse=True)]
    except Exception:  # whatever it is: a name or a field that is not there, or an iterator that has no model
        return None
    return [node for node in nodes if node["name"] not in ("", "Root")]


def _read_node(node: Any) -> Node:
    threads = [as_number(each.state_value) for each in node.parameters if each.name == "parallelism"]
    return {
        "name": str(node.name),
        "elements": int(node.num_elements),
        "elapsed_s": node.processing_time / 1e9,
        "bytes": int(node.bytes_produced),
        "parallelism": threads[0] if threads else None,
    }
