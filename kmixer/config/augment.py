"""The settings of the augmentations; all are off by default."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .fields import Count, Positive, Probability, Section, Share


class RectangleSettings(Section):
    """What those that draw a rectangle by `scale` and `ratio` have in common."""

    @model_validator(mode="after")
    def _ordered(self):
        _check_range("scale", self.scale, most=1.0)
        _check_range("ratio", self.ratio)
        return self


class RandomResizedCropSettings(RectangleSettings):
    """Crop a random area of a random aspect ratio, resize it to the image's size."""

    scale: tuple[Positive, Positive] = Field((0.08, 1.0), description="share of the area")
    ratio: tuple[Positive, Positive] = Field((0.75, 4 / 3), description="width / height")


class RandAugmentSettings(Section):
    """Apply a few operations to each image, drawn from shears, shifts, turns and colour changes."""

    num_ops: Count = Field(2, description="operations for an image")
    magnitude: Annotated[int, Field(ge=0, le=30, strict=True)] = Field(
        9, description="how strong, from 0 to 30"
    )


class RandomErasingSettings(RectangleSettings):
    """Overwrite a random rectangle with black."""

    probability: Probability = 0.5
    scale: tuple[Positive, Positive] = Field((0.02, 0.33), description="share of the area")
    ratio: tuple[Positive, Positive] = Field((0.3, 3.3), description="width / height")


class MixUpSettings(Section):
    """Blend an image and its label with another's."""

    probability: Probability = 0.5
    alpha: Positive = Field(0.2, description="of the Beta distribution of the image's share")


class CutMixSettings(Section):
    """Paste a rectangle of another image; the label follows the area."""

    probability: Probability = 0.5
    alpha: Positive = Field(1.0, description="of the Beta distribution of the image's share")


class AugmentSettings(Section):
    """What happens to training images; everything is off by default."""

    on: Literal["host", "accelerator"] | None = Field(
        None,
        description="accelerator: the images lie in its memory, augmented inside the step;"
        " null: the accelerator where there is one",
    )
    random_resized_crop: RandomResizedCropSettings | None = None
    translation: Share = Field(0.0, description="largest shift, share of the side")
    fill_mode: Literal["constant", "nearest"] = Field(
        "constant", description="beyond the border of a shifted image: black, or the border again"
    )
    horizontal_flip: Probability = 0.0
    rand_augment: RandAugmentSettings | None = None
    random_erasing: RandomErasingSettings | None = None
    mixup: MixUpSettings | None = None
    cutmix: CutMixSettings | None = None

    @model_validator(mode="after")
    def _agree(self):
        probabilities = [each.probability for each in (self.mixup, self.cutmix) if each]
        if sum(probabilities) > 1:
            raise ValueError(
                f"mixup and cutmix: received probabilities {probabilities}, expected at most 1"
                " together: an image is mixed once"
            )
        return self


def _check_range(name, bounds, most=float("inf")):
    low, high = bounds
    if low > high or high > most:
        limit = f" with max <= {most}" if most != float("inf") else ""
        raise ValueError(f"{name}: received [{low}, {high}], expected [min, max]{limit}")
