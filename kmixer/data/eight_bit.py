"""Opened images of any mode → 8-bit gray or RGB."""

from collections.abc import Callable
from functools import cache

import numpy as np
from PIL import Image, ImageCms, ImageStat

from . import levels

TRANSPARENT_MODES = frozenset(("LA", "La", "PA", "RGBA", "RGBa"))
NEARLY_WHITE = 191  # mean of the visible part: on white it would vanish


def to_eight_bit(
    image: Image.Image, channels: int, white_level: float | None, reopen: Callable[[], Image.Image]
) -> Image.Image:
    """Return an opened image in mode L or RGB.

    Args:
        image: not decoded yet.
        channels: 1 for L, 3 for RGB.
        white_level: of images with more than 8 bits; None: judged by this image.
        reopen: opens the same file once more.

    Raises:
        ValueError: it has pixels that are no numbers.
        LevelsError: its levels cannot be brought to 0 to 255.
    """
    if levels.is_deep(image):
        image = _scaled(image, white_level, reopen)
    elif image.mode == "LAB":
        image = ImageCms.applyTransform(image, _lab_to_rgb()) or image
    image.load()
    if image.mode in TRANSPARENT_MODES or "transparency" in image.info:
        image = lay_on_background(image)
    mode = "L" if channels == 1 else "RGB"
    return image if image.mode == mode else image.convert(mode)  # which would copy it all


def _scaled(
    image: Image.Image, white_level: float | None, reopen: Callable[[], Image.Image]
) -> Image.Image:
    values = levels.read_levels(image, reopen)
    colors = levels.without_alpha(values)
    if white_level:
        levels.check_scale(colors, white_level)
    pixels = levels.scale(colors, white_level or levels.white_of(colors))
    if colors.shape != values.shape:
        pixels = np.dstack([pixels, (values[:, :, 3] >> 8).astype(np.uint8)])
    return Image.fromarray(255 - pixels if levels.is_negative(image) else pixels)


@cache
def _lab_to_rgb() -> ImageCms.ImageCmsTransform:
    profiles = [ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")]
    return ImageCms.buildTransform(profiles[0], profiles[1], "LAB", "RGB")


def lay_on_background(image: Image.Image) -> Image.Image:
    """Lay a transparent image on white; on black if what is visible of it is itself nearly white.

    So neither black nor white drawings vanish.
    """
    image = image.convert("RGBA")
    on_black = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image)
    opacity = ImageStat.Stat(image.getchannel("A")).mean[0]
    light = ImageStat.Stat(on_black.convert("L")).mean[0]
    if light * 255 > NEARLY_WHITE * opacity:  # the mean of its pixels, each counted by its opacity
        return on_black
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
