"""Kernel initializers by name: Keras' own, and one that depends on the kind of layer."""

BY_LAYER = {"dense": "random_normal", "conv": "he_normal"}


def initializer(name: str, kind: str) -> str:
    """Return Keras' name of a kernel initializer.

    Args:
        name: one of Keras' names, or `"by_layer"`: normal for dense, He normal for convolutions.
        kind: `"dense"` or `"conv"`.
    """
    return BY_LAYER[kind] if name == "by_layer" else name
