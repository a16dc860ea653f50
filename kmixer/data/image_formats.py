"""Which files are images: by their names, and by their first bytes."""

import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path

FORMATS = ("PNG", "JPEG", "BMP", "DIB", "GIF", "WEBP", "TIFF", "PPM", "AVIF", "JPEG2000")
_JPEG, _PPM, _JP2 = ("JPEG", "MPO"), ("PPM",), ("JPEG2000",)
_HEIC, _TIFF, _BMP = ("HEIF",), ("TIFF",), ("BMP", "DIB")
# By suffix: the formats, as Pillow names them, that a file of this name is expected to hold.
SUFFIXES = {
    ".png": ("PNG",), ".apng": ("PNG",), ".jpg": _JPEG, ".jpeg": _JPEG, ".jpe": _JPEG,
    ".jif": _JPEG, ".jfif": _JPEG, ".mpo": _JPEG, ".bmp": _BMP, ".dib": _BMP, ".gif": ("GIF",),
    ".webp": ("WEBP",), ".tif": _TIFF, ".tiff": _TIFF, ".ppm": _PPM, ".pgm": _PPM, ".pbm": _PPM,
    ".pnm": _PPM, ".pfm": _PPM, ".avif": ("AVIF",), ".jp2": _JP2, ".j2k": _JP2, ".heic": _HEIC,
    ".heif": _HEIC, ".hif": _HEIC,
}  # fmt: skip
HEIC_MISSING = "HEIC: install kmixer[heic]"
HEIC_BRANDS = frozenset(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
)
AVIF_BRANDS = frozenset((b"avif", b"avis"))
HEAD_BYTES = 512  # that `describe_content` looks at

# The first bytes of the formats above: a file that begins so and cannot be opened is damaged.
IMAGE_STARTS = {
    b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG", b"BM": "BMP", b"GIF8": "GIF", b"II*\0": "TIFF",
    b"MM\0*": "TIFF", b"II+\0": "TIFF", b"MM\0+": "TIFF", b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
}  # fmt: skip
# The first bytes of what lies among images under their names.
OTHER_STARTS = {
    b"%PDF": "a PDF document", b"%!PS": "a PostScript document", b"8BPS": "a Photoshop document",
    b"PK\x03\x04": "a ZIP archive", b"\x1f\x8b": "a gzip archive", b"Rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7z archive", b"\x1aE\xdf\xa3": "a WebM or Matroska video",
    b"FLV": "a Flash video", b"\0\0\x01\xba": "an MPEG video", b"\0\0\x01\xb3": "an MPEG video",
    b"\0\0\x01\0": "an icon (ICO)", b"\xff\x0a": "a JPEG XL image",
    b"\0\0\0\x0cJXL ": "a JPEG XL image", b"v/1\x01": "an OpenEXR image",
    b"#?RADIANCE": "a Radiance HDR image", b"FUJIFILMCCD-RAW": "a raw camera file",
    b"SIMPLE  =": "a FITS file", b"\x89HDF": "an HDF5 file", b"\x93NUMPY": "a NumPy array",
    b"\0\x05\x16\x07": "metadata of macOS, without the image (AppleDouble)",
    b"version https://git-lfs": "a Git LFS pointer, without the image: run git lfs pull",
    b"OggS": "an Ogg recording", b"ID3": "an MP3 recording",
}  # fmt: skip


def is_image(path: str | Path) -> bool:
    """Return whether the file's name ends like that of an image that can be read here."""
    return skip_reason(path) is None


def skip_reason(path: str | Path) -> str | None:
    """Return why a file is no image by its name, such as "no image suffix (.txt)"; None: it is."""
    suffix = os.path.splitext(path)[1].lower()
    if SUFFIXES.get(suffix) == _HEIC and not reads_heic():
        return HEIC_MISSING
    if suffix in SUFFIXES:
        return None
    return f"no image suffix ({suffix})" if suffix else "no image suffix"


def has_image_suffix(path: str | Path) -> bool:
    """Return whether the file's name ends like an image's, whether it can be read here or not."""
    return os.path.splitext(path)[1].lower() in SUFFIXES


def misnamed(path: str | Path, content: str) -> str | None:
    """Return what is odd about a file's name, such as "named .heic, holds JPEG"; None: nothing.

    Args:
        path: the file.
        content: its format, as Pillow names it.
    """
    suffix = os.path.splitext(path)[1].lower()
    fits = content in SUFFIXES.get(suffix, (content,))
    return None if fits else f"named {suffix}, holds {content}"


@cache
def reads_heic() -> bool:
    """Return whether the library for HEIC photos is installed."""
    return find_spec("pillow_heif") is not None


def is_heic(head: bytes) -> bool:
    """Return whether a file's first bytes are those of a HEIC photo."""
    return head[4:8] == b"ftyp" and head[8:12] in HEIC_BRANDS


def describe_content(head: bytes) -> str:
    """Return why a file that no reader takes is none, by its first bytes.

    Args:
        head: the first `HEAD_BYTES` bytes, or all.

    Returns:
        Such as "empty file", "not an image: an HTML page", "damaged or unknown kind of TIFF".
    """
    if not head:
        return "empty file"
    if is_heic(head):
        return "damaged HEIC image" if reads_heic() else HEIC_MISSING
    if head[4:8] == b"ftyp" and head[8:12] in AVIF_BRANDS:
        return "damaged image, or of a kind that is not read: an AVIF file"
    for start, name in IMAGE_STARTS.items():
        if head.startswith(start):
            return f"damaged image, or of a kind that is not read: a {name} file"
    return f"not an image: {_other_kind(head)}"


def _other_kind(head: bytes) -> str:
    for start, name in OTHER_STARTS.items():
        if head.startswith(start):
            return name
    if head[4:8] == b"ftyp":
        return "a raw camera file" if head[8:11] == b"crx" else "a video (MP4 or QuickTime)"
    if head.startswith(b"RIFF"):
        return {b"WEBP": "a damaged WEBP file", b"AVI ": "an AVI video"}.get(
            head[8:12], "a RIFF file of another kind"
        )
    if head[128:132] == b"DICM":
        return "a DICOM file"
    if not any(head):
        return "nothing but zeros"
    return _kind_of_text(head)


def _kind_of_text(head: bytes) -> str:
    begin = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if begin.startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    if begin.startswith(b"<svg") or (begin.startswith(b"<?xml") and b"<svg" in begin):
        return "an SVG drawing"
    if begin.startswith((b"{", b"[")):
        return "JSON text"
    try:
        head[: HEAD_BYTES - 4].decode()  # a character may be cut at the end
    except UnicodeDecodeError:
        return f"none of the formats {', '.join(FORMATS)}"
    return "text"
