"""A SavedModel's graph, which is looked at before TensorFlow runs anything of it."""

from pathlib import Path

# Of operations with a state, those of variables, branches and calls; not those that write files.
VARIABLES = {"VarHandleOp", "ReadVariableOp", "AssignVariableOp", "VarIsInitializedOp",
             "DisableCopyOnRead", "Placeholder"}  # fmt: skip
CONTROL = {"StatefulPartitionedCall", "PartitionedCall", "If", "While", "Case", "Assert", "NoOp"}
READERS = {"ReadFile", "MatchingFiles"}


def check_graph(folder):
    """Refuse a SavedModel that could do more than compute.

    Args:
        folder: of the SavedModel.

    Raises:
        ValueError: a function that loading or asking it may call holds an operation that reads or
            writes files, runs Python, or that TensorFlow does not know.
    """
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    saved = SavedModel()
    saved.ParseFromString((Path(folder) / "saved_model.pb").read_bytes())
    for graph in saved.meta_graphs:
        roots = _functions(graph.object_graph_def)
        if not roots:  # TensorFlow 1's, of which loading runs what it names
            raise ValueError("it holds no functions of TensorFlow 2")
        if unsafe := sorted(op for op in _called(graph.graph_def, roots) if not _is_safe(op)):
            raise ValueError(f"it holds the operation {unsafe[0]}, which does more than compute")


def _functions(objects):
    """Return the names of the functions that the loaded object can call."""
    names = set(objects.concrete_functions)
    for node in objects.nodes:
        names |= set(node.function.concrete_functions)
        names |= {node.bare_concrete_function.concrete_function_name} - {""}
    return names


def _called(graph, roots):
    """Return the operations of the functions `roots` and of those that they call."""
    bodies = {function.signature.name: function.node_def for function in graph.library.function}
    operations, seen, left = set(), set(), list(roots)
    while left:
        name = left.pop()
        if name in seen:
            continue
        seen.add(name)
        for node in bodies.get(name, ()):
            operations.add(node.op)
            left += [node.op] if node.op in bodies else []
            for value in node.attr.values():
                left += [value.func.name, *(each.name for each in value.list.func)]
    return operations - bodies.keys()


def _is_safe(operation):
    from tensorflow.python.framework import op_def_registry

    known = op_def_registry.get(operation)
    if known is None or operation in READERS:
        return False
    return not known.is_stateful or operation in VARIABLES | CONTROL
