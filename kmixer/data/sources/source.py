"""What kmixer knows about a data source: its names, how to check one, how to load it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ...config.image_size import ImageSize
from ..dataset import Dataset
from ..decode import Fit
from ..progress import Progress


@dataclass(frozen=True)
class LoadOptions:
    """How a data set is loaded.

    Attributes:
        data_dir: where prepared data sets lie; see `data_folder`.
        image_size: side in pixels that images are resized to, or (height, width); None: as stored.
        resize_size: side that the model resizes images to; where `image_size` is None, a source
            may shrink larger images to it, since the model has no use for more.
        largest_side: of a square with the area that the images of a folder get at most, where
            `image_size` is None; None: 224.
        progress: called with (done, total) while images are read.
        channels: 1 for gray, 3 for RGB; None: gray if all images are.
        fit: what becomes of an image of another aspect ratio.
        white_level: the level of 16-bit and float images that is white; None: judged by the images.
        cache: whether decoded images are kept for the next time.
        in_memory: whether the pixels are kept in memory, or read from a file as they are needed;
            None: in memory, unless they are large.
    """

    data_dir: str | Path | None = None
    image_size: ImageSize | None = None
    resize_size: int | None = None
    largest_side: int | None = None
    progress: Progress | None = None
    channels: Literal[1, 3] | None = None
    fit: Fit = "crop"
    white_level: float | None = None
    cache: bool = True
    in_memory: bool | None = None


# (path of a downloaded archive, data_dir, progress) → the path of the file written.
ArchiveImporter = Callable[[str | Path, str | Path | None, Progress | None], Path]


@dataclass(frozen=True)
class Source:
    """One data set with a fixed name, or one kind of data sets.

    To add one, write a module with such a record and list it in `sources/__init__.py`.

    Attributes:
        label: the fixed name (`"fmnist"`), or the pattern of the names (`"tfds:NAME"`).
        description: what it is, in one line for `kmixer data list`.
        load: (name, options) → `Dataset` without a validation split.
        recognizes: (name) → whether the name is of this kind; None: the name is the label.
        check: (name) → None, or a DataError if a quick look shows that it cannot be loaded.
        is_path: whether names are paths.
        is_kept: whether its images can be loaded again.
        import_archive: how a downloaded archive of it is imported; None: it is not.
        image_shape: (height, width, channels) of its images; None: it depends on the name.
        classes: how many it has; None: it depends on the name.
        tfds_name: under which TensorFlow Datasets knows the files that its authors published;
            None: the same name, without `tfds:`.
        license: the SPDX identifier of its licence, where its authors name one.
    """

    label: str
    description: str
    load: Callable[[str, LoadOptions], Dataset]
    recognizes: Callable[[str], bool] | None = None
    check: Callable[[str], None] = lambda name: None
    is_path: bool = False
    is_kept: bool = True
    import_archive: ArchiveImporter | None = None
    image_shape: tuple[int, int, int] | None = None
    classes: int | None = None
    tfds_name: str | None = None
    license: str | None = None

    @property
    def has_fixed_name(self) -> bool:
        """Whether the label is a name, and not a pattern."""
        return self.recognizes is None

    def published_as(self, name: str) -> str:
        """Return the name under which TensorFlow Datasets knows its files."""
        return self.tfds_name or name.removeprefix("tfds:")

    def accepts(self, name: str) -> bool:
        """Whether this source loads the data set of that name."""
        return self.recognizes(name) if self.recognizes else name == self.label
