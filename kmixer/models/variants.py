"""The paper's sizes of Mixers, and the patch size for other images; imports no Keras."""

from ..errors import SettingsError, nearest
from .patches import default_patches

# Table 1 of the paper.
SIZES: dict[str, dict[str, int]] = {
    name: {
        "patch_size": patch, "blocks": blocks, "hidden_dim": hidden,
        "tokens_mlp_dim": hidden // 2, "channels_mlp_dim": 4 * hidden,
    }
    for name, patch, blocks, hidden in (
        ("s32", 32, 8, 512), ("s16", 16, 8, 512), ("b32", 32, 12, 768), ("b16", 16, 12, 768),
        ("l32", 32, 24, 1024), ("l16", 16, 24, 1024), ("h14", 14, 32, 1280),
    )
}  # fmt: skip


def size_key(name: str) -> str:
    """Return the key in `SIZES` of a size as the paper writes it.

    Raises:
        SettingsError: there is no such size.

    Example:
        >>> size_key("B/16")
        'b16'
    """
    key = name.lower().replace("/", "")
    if key not in SIZES:
        raise SettingsError(f"mixer size: received {name!r}{nearest(key, SIZES)}")
    return key


def mixer_size(name: str) -> dict[str, int]:
    """Return the arguments of `MlpMixer` for one of the paper's sizes (arXiv 2105.01601, table 1).

    Raises:
        SettingsError: there is no such size.

    Example:
        >>> mixer_size("B/16")["hidden_dim"]
        768
    """
    return dict(SIZES[size_key(name)])


def default_patch_size(height: int, width: int | None = None) -> int:
    """Return the side of patches that cover an image exactly, about seven of them along a side.

    Where no such patches lie side by side, as where a side is a prime number, they overlap:
    `kmixer.models.patches.default_patches` gives the stride, too.

    Args:
        height: of the images in pixels.
        width: of the images in pixels; default the height.

    Raises:
        SettingsError: there are none, as of 101×64 pixels.

    Example:
        >>> default_patch_size(224), default_patch_size(64, 256)
        (32, 16)
    """
    return default_patches(height, width or height).size
