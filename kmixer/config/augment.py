"""The settings of the augmentations; all are off by default."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from .fields import Count, Positive, Probability, Section, Share


def _ordered(bounds: tuple[float, float]) -> tuple[float, float]:
    low, high = bounds
    if low > high:
        raise ValueError(f"received [{low}, {high}], expected [min, max]")
    return bounds


def _at_most_one(bounds: tuple[float, float]) -> tuple[float, float]:
    low, high = bounds
    if low > high or high > 1.0:
        raise ValueError(f"received [{low}, {high}], expected [min, max] with max <= 1.0")
    return bounds


AreaRange = Annotated[tuple[Positive, Positive], AfterValidator(_at_most_one)]
RatioRange = Annotated[tuple[Positive, Positive], AfterValidator(_ordered)]


class RandomResizedCropSettings(Section):
    """Crop a random area of a random aspect ratio, resize it to the image's size."""

    scale: AreaRange = Field((0.08, 1.0), description="share of the area")
    ratio: RatioRange = Field((0.75, 4 / 3), description="width / height")


class RandAugmentSettings(Section):
    """Apply a few random operations to each image: shears, shifts, rotations, color changes."""

    num_ops: Count = Field(2, description="operations for an image")
    magnitude: Annotated[int, Field(ge=0, le=30, strict=True)] = Field(
        9, description="how strong, from 0 to 30"
    )


class RandomErasingSettings(Section):
    """Overwrite a random rectangle with black."""

    probability: Probability = 0.5
    scale: AreaRange = Field((0.02, 0.33), description="share of the area")
    ratio: RatioRange = Field((0.3, 3.3), description="width / height")


class MixUpSettings(Section):
    """Blend an image and its label with another image of the batch."""

    probability: Probability = 0.5
    alpha: Positive = Field(0.2, description="the image's weight is drawn from Beta(alpha, alpha)")


class CutMixSettings(Section):
    """Paste a rectangle of another image of the batch; the label follows the area."""

    probability: Probability = 0.5
    alpha: Positive = Field(
        1.0, description="the share of the area that stays is drawn from Beta(alpha, alpha)"
    )


class AugmentSettings(Section):
    """How training images are augmented; everything is off by default."""

    on: Literal["host", "accelerator"] | None = Field(
        None,
        description="accelerator: the images lie in its memory and are augmented inside the step;"
        " null: the accelerator where there is one",
    )
    random_resized_crop: RandomResizedCropSettings | None = None
    translation: Share = Field(0.0, description="largest shift, as a share of the side")
    fill_mode: Literal["constant", "nearest"] = Field(
        "constant", description="what fills the free border of a shifted image: black, or its edge"
    )
    horizontal_flip: Probability = Field(0.0, description="probability of mirroring")
    rand_augment: RandAugmentSettings | None = None
    random_erasing: RandomErasingSettings | None = None
    mixup: MixUpSettings | None = None
    cutmix: CutMixSettings | None = None

    @property
    def mixing(self) -> list[MixUpSettings | CutMixSettings]:
        """The settings of the augmentations that mix two images and their labels."""
        return [section for section in (self.mixup, self.cutmix) if section]

    @model_validator(mode="after")
    def _check_mixing_probabilities(self) -> Self:
        probabilities = [section.probability for section in self.mixing]
        if sum(probabilities) > 1:
            raise ValueError(
                f"mixup and cutmix: received probabilities {probabilities}, expected at most 1"
                " together: an image is mixed once"
            )
        return self


# Every augmentation, strong enough to be seen: what `kmixer data show` draws by default.
STRONG_EXAMPLE = AugmentSettings(
    random_resized_crop=RandomResizedCropSettings(scale=(0.4, 0.8)),
    translation=0.2,
    horizontal_flip=1.0,
    rand_augment=RandAugmentSettings(magnitude=20),
    random_erasing=RandomErasingSettings(probability=1.0, scale=(0.05, 0.2)),
    mixup=MixUpSettings(alpha=1.0),
    cutmix=CutMixSettings(),
)
