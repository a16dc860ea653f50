"""The paper's sizes of Mixers, and the patch size for other images; imports no Keras."""

from ..errors import SettingsError, nearest

# Table 1 of the paper.
SIZES = {
    name: {
        "patch_size": patch, "blocks": blocks, "hidden_dim": hidden,
        "tokens_mlp_dim": hidden // 2, "channels_mlp_dim": 4 * hidden,
    }
    for name, patch, blocks, hidden in (
        ("s32", 32, 8, 512), ("s16", 16, 8, 512), ("b32", 32, 12, 768), ("b16", 16, 12, 768),
        ("l32", 32, 24, 1024), ("l16", 16, 24, 1024), ("h14", 14, 32, 1280),
    )
}  # fmt: skip


def size_key(name):
    """Return the key in `SIZES` of a size as the paper writes it, such as `"B/16"`.

    Raises:
        SettingsError: there is no such size.
    """
    key = name.lower().replace("/", "")
    if key not in SIZES:
        raise SettingsError(f"mixer size: received {name!r}{nearest(key, SIZES)}")
    return key


def mixer_size(name):
    """Return the arguments of `MlpMixer` for one of the paper's sizes, such as `"B/16"`.

    Raises:
        SettingsError: there is no such size.
    """
    return dict(SIZES[size_key(name)])


def default_patch_size(side):
    """Return the patch size, a divisor of `side`, that gives nearest to seven patches a side."""
    divisors = [size for size in range(1, side + 1) if side % size == 0]
    return min(divisors, key=lambda size: abs(side / size - 7))
