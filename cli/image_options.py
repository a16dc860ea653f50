"""The options `--image-size` and `--fit` of the commands that read no settings from their texts."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from kmixer.config.image_size import ImageSize

SIZE = "SIDE|HEIGHTxWIDTH"
Size = Annotated[str | None, typer.Option("--image-size", metavar=SIZE, help="To resize to.")]
Fit = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="crop, pad or stretch images of another shape."),
]


def read_size(text: str | None) -> "ImageSize | None":
    """Return what the text of `--image-size` means: a side, or (height, width).

    Raises:
        SettingsError: it is neither.
    """
    from kmixer.config.image_size import read_image_size
    from kmixer.errors import SettingsError

    try:
        return None if text is None else read_image_size(text)
    except ValueError as error:
        raise SettingsError(f"--image-size: {error}") from None


def check_fit(text: str | None) -> dict[str, str]:
    """Return `fit` as `kmixer.data.load` takes it; empty where the option is not given.

    Raises:
        SettingsError: there is no such way.
    """
    from kmixer.errors import SettingsError

    if text not in (None, "crop", "pad", "stretch"):
        raise SettingsError(f"--fit: received {text!r}, expected crop, pad or stretch")
    return {"fit": text} if text else {}
