"""The settings of the images: which data set, in which size, split how."""

from typing import Annotated, Literal, Self

from pydantic import Field, FiniteFloat, StrictBool, model_validator

from .fields import Count, OpenShare, Positive, Section, Seed
from .image_size import ImageSizeField, Side


class DataSettings(Section):
    """Which data set, in which size, split how."""

    name: str | None = Field(
        "fmnist", description="data set name, tfds:NAME or an image folder; null: imported weights"
    )
    dir: str | None = Field(None, description="where prepared data sets lie")
    image_size: ImageSizeField = Field(
        None,
        description="side in pixels, HEIGHTxWIDTH or [height, width], that images are resized to"
        " when they are read; null: chosen by a folder's images, at most about 224×224 pixels; as"
        " stored in other data sets, but larger ones of tfds:NAME are shrunk to resize_size",
    )
    largest_side: Side | None = Field(
        None,
        description="of a square with the area that image files get at most, where image_size is"
        " open; null: 224",
    )
    fit: Literal["crop", "pad", "stretch"] = Field(
        "crop",
        description="what becomes of image files of another aspect ratio: crop: the center is"
        " used; pad: black is added; stretch: they are distorted",
    )
    channels: Literal[1, 3] | None = Field(
        None, description="of image files: 1 gray, 3 RGB; null: gray if all of them are"
    )
    white_level: Positive | None = Field(
        None,
        description="the level of 16-bit and float image files that is white; null: judged by the"
        " images",
    )
    cache: StrictBool = Field(
        True, description="keep the decoded images of a folder for the next time"
    )
    in_memory: StrictBool | None = Field(
        None,
        description="keep the pixels of a folder in memory, or read them from a file as they are"
        " needed; null: in memory up to 1 GB and a quarter of the machine's memory",
    )
    resize_size: Side | None = Field(
        None,
        description="smaller side that the model resizes images to, of which it then takes the"
        " center square; null: not resized",
    )
    crop_size: Side | None = Field(
        None,
        description="side of the center that the model crops after resizing; null: not cropped."
        " For random crops, shift the images with augment.translation and fill_mode nearest",
    )
    validation_size: Count | OpenShare | None = Field(
        None,
        description="images or share cut from the training set; null: a twelfth. A validation"
        " folder of the data set is used as it is",
    )
    folds: Annotated[Count, Field(ge=2)] | None = Field(
        None,
        description="cross-validation: cut all images that are not test images into so many parts"
        " of about the same size and classes, one of which is the validation split, whatever"
        " validation_size says; null: not done",
    )
    fold: Seed = Field(0, description="which of the `folds` is the validation split, from 0")
    train_on_validation: StrictBool = Field(
        False, description="also train on the validation images; its metrics are then optimistic"
    )
    split_seed: Seed = Field(
        0, description="of the random choice of validation images and of train_per_class"
    )
    drop_duplicates: StrictBool = Field(
        False,
        description="leave out training images that are exactly, or among up to 20,000 images"
        " nearly, in the validation or test set as well",
    )
    classes: list[str] | None = Field(
        None, description="use only these classes, in this order; null: all"
    )
    train_per_class: Count | None = Field(
        None, description="training images of each class that are used; null: all"
    )
    batch_size: Count | Literal["auto"] | None = Field(
        None,
        description="images per step; null: by the number of images, at most 256; auto: measured"
        " when a training begins, the smallest whose double trains hardly more images a second",
    )
    mean: list[FiniteFloat] | None = Field(
        None, description="per channel, of pixels/255; null: of the training images"
    )
    std: list[Positive] | None = Field(
        None, description="per channel, of pixels/255; null: of the training images"
    )

    @property
    def images_per_step(self) -> int:
        """The batch size, once it is chosen (`kmixer/training/choices.py`)."""
        assert isinstance(self.batch_size, int)
        return self.batch_size

    @model_validator(mode="after")
    def _check_fold(self) -> Self:
        if self.fold and self.fold >= (self.folds or 1):
            count = "no folds" if self.folds is None else f"{self.folds} folds"
            raise ValueError(f"fold: received {self.fold} of {count}, counted from 0")
        return self
