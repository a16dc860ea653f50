"""A search that takes seconds, for the tests of `kmixer tune`."""

SPACE = ("--search", "model.blocks=1,2", "--search", "optimizer.learning_rate=1e-4..1e-1:log")


def tiny_search(image_folder, name="halves-tune", epochs=2):
    """Return the words of a search over tiny Mixers on the images of two halves."""
    fixed = {
        "data.batch_size": 16, "data.validation_size": 20, "model.patch_size": 4,
        "model.hidden_dim": 8, "model.tokens_mlp_dim": 4, "model.channels_mlp_dim": 8,
        "training.jit": "false",
    }  # fmt: skip
    words = ["tune", image_folder, *SPACE, "--epochs", epochs, "--name", name]
    return [
        *words,
        *(word for path, value in fixed.items() for word in ("--set", f"{path}={value}")),
    ]
