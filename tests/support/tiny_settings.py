"""The one tiny model of the tests: two Mixer blocks on the images of `tiny_dataset`, trained in seconds."""

TINY = {
    "data": {"batch_size": 16, "validation_size": 20},
    "model": {"patch_size": 4, "blocks": 2, "hidden_dim": 8, "tokens_mlp_dim": 4,
              "channels_mlp_dim": 8},
    "optimizer": {"learning_rate": 0.01},
    "training": {"epochs": 2, "jit": False, "best_epoch": "val_accuracy"},
}  # fmt: skip


def tiny_settings(folder=None, **changes):
    """Return nested settings of the tiny model.

    Args:
        folder: the image folder to train on; None: none is named.
        changes: by section, what differs, such as `training={"epochs": 6}`.
    """
    data = TINY["data"] | ({"name": str(folder)} if folder else {})
    return {
        key: values | changes.pop(key, {}) for key, values in (TINY | {"data": data}).items()
    } | (changes)


def tiny_flags(**changes):
    """Return the tiny model as words of the command line, `--set` and an assignment each."""
    values = tiny_settings(**changes)
    return [
        word
        for section, keys in values.items()
        for key, value in keys.items()
        for word in ("--set", f"{section}.{key}={str(value).lower() if value is False else value}")
    ]
