"""Which way up a photo is, as its EXIF says, whatever else its EXIF says.

Pillow's `exif_transpose` also writes the rest of the EXIF anew, and fails where that is odd.
"""

from typing import Any

from PIL import ExifTags, Image

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
UPRIGHT = 1
QUARTER_TURNS = 5  # the orientations from this one on swap width and height


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of an opened image, 1 to 8; 1 where it is missing or odd.

    An image that was not decoded yet may tell it only after that: a PNG whose EXIF comes last.
    """
    if image.format == "TIFF":  # Pillow turns these upright on its own
        return UPRIGHT
    if image.format == "PNG" and not image.info.keys() & {"exif", "Raw profile type exif"}:
        return UPRIGHT  # or Pillow would decode all pixels in search of it
    try:
        value: Any = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # damaged EXIF makes Pillow raise almost anything, and is no reason to stop
        return UPRIGHT
    if isinstance(value, tuple) and value:
        value = value[0]
    return int(value) if isinstance(value, int | float) and value in TURNS else UPRIGHT


def turn_upright(image: Image.Image, orientation: int) -> Image.Image:
    """Return the image turned and mirrored as that EXIF orientation asks."""
    return image.transpose(TURNS[orientation]) if orientation in TURNS else image
