"""The settings of the images: which, in which size, split how."""

from pydantic import Field, FiniteFloat, StrictBool

from .fields import Count, OpenShare, Positive, Section, Seed


class DataSettings(Section):
    """Which images, in which size, split how."""

    name: str | None = Field(
        "fmnist", description="data set name, tfds:NAME or an image folder; null: imported weights"
    )
    dir: str | None = Field(None, description="where prepared data sets lie")
    image_size: Count | None = Field(
        None,
        description="side in pixels; null: as stored, but larger ones of folders and tfds:NAME are"
        " brought to resize_size",
    )
    resize_size: Count | None = Field(
        None, description="smaller side that the model resizes images to; null: as they are"
    )
    crop_size: Count | None = Field(
        None,
        description="side of the centre that it keeps; null: all; augment.translation with"
        " fill_mode nearest moves it by whole pixels of the images as they are",
    )
    validation_size: Count | OpenShare | None = Field(
        None, description="images or share cut from the training set; null: a twelfth"
    )
    train_on_validation: StrictBool = Field(
        False, description="too, at last: validation figures are then of images trained on"
    )
    split_seed: Seed = Field(0, description="draws the validation split")
    classes: list[str] | None = Field(None, description="only these, in this order; null: all")
    train_per_class: Count | None = Field(
        None, description="training images kept of each class; null: all"
    )
    batch_size: Count = 256
    mean: list[FiniteFloat] | None = Field(None, description="per channel, of pixels/255")
    std: list[Positive] | None = Field(None, description="per channel, of pixels/255")
