"""Check a SavedModel's graph before TensorFlow runs any of it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

# Operations with a state that are safe: of variables, branches and calls; none that writes files.
VARIABLES = {"VarHandleOp", "ReadVariableOp", "AssignVariableOp", "VarIsInitializedOp",
             "DisableCopyOnRead", "Placeholder"}  # fmt: skip
CONTROL = {"StatefulPartitionedCall", "PartitionedCall", "If", "While", "Case", "Assert", "NoOp",
           "StatelessIf", "StatelessWhile", "StatelessCase"}  # fmt: skip
# Attributes of any text, which are no names of files, functions or addresses.
TEXTS = {"equation", "message", "bad_indices_policy", "kernel_type", "interpolation", "fill_mode",
         "src_format", "dst_format"}  # fmt: skip


def check_graph(folder: str | Path) -> None:
    """Refuse a SavedModel that could do more than compute.

    Args:
        folder: of the SavedModel.

    Raises:
        ValueError: a function that loading or calling it may run holds an operation that reads or
            writes files, runs Python, or is unknown to TensorFlow.
    """
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    saved = SavedModel()
    saved.ParseFromString((Path(folder) / "saved_model.pb").read_bytes())
    for graph in saved.meta_graphs:
        roots = _functions(graph.object_graph_def)
        if not roots:  # TensorFlow 1's, where loading runs operations that the file names
            raise ValueError("it holds no functions of TensorFlow 2")
        if unsafe := sorted(op for op in _called(graph.graph_def, roots) if not _is_safe(op)):
            raise ValueError(f"it holds the operation {unsafe[0]}, which does more than compute")


def _functions(objects: Any) -> set[str]:
    """Return the names of the functions that the loaded object can call."""
    names = set(objects.concrete_functions)
    for node in objects.nodes:
        names |= set(node.function.concrete_functions)
        names |= {node.bare_concrete_function.concrete_function_name} - {""}
    return names


def _called(graph: Any, roots: Iterable[str]) -> set[str]:
    """Return the operations of the functions `roots` and of all functions that they call."""
    bodies = {function.signature.name: function.node_def for function in graph.library.function}
    operations: set[str] = set()
    seen: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for node in bodies.get(name, ()):
            operations.add(node.op)
            if node.op in bodies:
                waiting.append(node.op)
            for value in node.attr.values():
                waiting += [value.func.name, *(function.name for function in value.list.func)]
    return operations - bodies.keys()


def _is_safe(operation: str) -> bool:
    """Return whether an operation only computes.

    Many that TensorFlow calls stateless read and write files: debugging, caches, snapshots.
    """
    from tensorflow.python.framework import op_def_registry

    known = op_def_registry.get(operation)
    if operation in VARIABLES | CONTROL:
        return known is not None
    return known is not None and not known.is_stateful and not _names_something(known)


def _names_something(known: Any) -> bool:
    """Return whether an operation takes texts or handles, or an attribute of any text."""
    from tensorflow.core.framework import types_pb2

    carriers = {types_pb2.DT_STRING, types_pb2.DT_RESOURCE, types_pb2.DT_VARIANT}
    tensors = [*known.input_arg, *known.output_arg]
    texts = [
        attr.name
        for attr in known.attr
        if attr.type in ("string", "list(string)", "func", "list(func)")
        and not attr.allowed_values.list.s
    ]
    return any(tensor.type in carriers for tensor in tensors) or not TEXTS.issuperset(texts)
