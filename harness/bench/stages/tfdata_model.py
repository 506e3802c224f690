"""Read the statistics of tf.data's own model about each operation of a pipeline.

Its times are elapsed times in an operation itself, without those before it, summed over all its threads. They are not
CPU times: an operation that sleeps counts like one that computes. ``get_model_proto`` is undocumented (and was not
public before TensorFlow 2.18); if it does not exist, or autotuning is off, there is no result.
"""

from __future__ import annotations

from typing import Any, TypedDict

from ..protocol.protocol import as_number


class Node(TypedDict):
    """An operation: its output elements, seconds in it, output bytes, threads (None if it has one)."""

    name: str
    elements: int
    elapsed_s: float
    bytes: int
    parallelism: float | None


def read_nodes(iterator: Any) -> list[Node] | None:
    """Return the operations of an iterator's pipeline, the source first; None if TensorFlow does not report them.

    The iterator must be exhausted, and still be referenced.
    """
    try:
        from tensorflow.python.data.experimental.ops.iterator_model_ops import get_model_proto

        model = get_model_proto(iterator)
        nodes = [_read_node(model.nodes[key]) for key in sorted(model.nodes, reverse=True)]
    except Exception:  # any reason: a name or field is missing, or the iterator has no model
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
