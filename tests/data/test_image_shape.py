"""In which shape a folder's images are read, and what is said about it."""

import numpy as np
import pytest
from PIL import Image

from kmixer.data import load
from kmixer.data.decode import Decoding, decode
from kmixer.errors import SettingsError


def write(folder, *sizes, count=4):
    """Write images of these (width, height)s into two classes, `count` of each size."""
    for label in "ab":
        (folder / label).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            for width, height in sizes:
                level = 20 * index + (label == "b") + 10
                image = Image.new("L", (width, height), level)
                image.putpixel((0, 0), 255)
                image.save(folder / label / f"{width}x{height}-{index}.png")
    return str(folder)


def notes(dataset):
    """The notes about the shape."""
    return [note for note in dataset.notes if "×" in note or "center" in note]


@pytest.mark.parametrize(
    ("sizes", "shape", "said"),
    [
        ([(16, 16)], (16, 16), []),
        ([(256, 64)], (64, 256), ["all images are 64×256 (height×width): the model is not square"]),
        ([(64, 256)], (256, 64), ["all images are 256×64 (height×width): the model is not square"]),
        ([(97, 97)], (96, 96), ["all images are 97×97 (height×width): they are resized to 96×96;"
                                " --image-size chooses another size"]),
        ([(300, 300)], (224, 224), ["they are resized to 224×224; --image-size chooses another size"]),
        ([(1, 1)], (4, 4), ["they are enlarged to 4×4"]),
        ([(640, 360)], (160, 288), ["they are resized to 160×288; the model is not square"]),
        ([(80, 60), (160, 120)], (90, 120), ["images differ in size: they are resized to 90×120"]),
        ([(40, 30), (30, 40)], (32, 32), ["images differ in shape: they are resized to 32×32",
                                          "the center square is used, 25 % of an average image"]),
        ([(300, 4)], (4, 4), ["they are resized to 4×4",
                              "the center square is used, 99 % of an average image is cut away"]),
    ],
)  # fmt: skip
def test_the_shape_follows_the_images_and_is_said(tmp_path, sizes, shape, said):
    loaded = load(write(tmp_path, *sizes))
    assert loaded.image_shape[:2] == shape
    assert len(notes(loaded)) == len(said)
    for note, words in zip(notes(loaded), said, strict=True):
        assert words in note


def test_a_few_images_of_another_shape_do_not_make_a_square(tmp_path):
    write(tmp_path, (64, 16), count=20)
    Image.new("L", (16, 16)).save(tmp_path / "a" / "stray.png")
    assert load(str(tmp_path)).image_shape == (16, 64, 1)


def test_what_a_crop_costs_is_said_unless_nothing_is_cropped(tmp_path):
    folder = write(tmp_path, (64, 16))
    (cut,) = notes(load(folder, image_size=16))
    assert cut == (
        "all images are 16×64 (height×width): the center square is used, 75 % of an average image"
        " is cut away; --fit pad or stretch keeps all"
    )
    (wide,) = notes(load(folder, image_size="32x64"))
    assert "the center in the shape of 32×64 is used, 50 %" in wide
    for fit in ("pad", "stretch"):
        assert notes(load(folder, image_size=16, fit=fit)) == []
    assert notes(load(folder, image_size=(8, 32))) == []


def test_a_model_that_resizes_takes_squares_and_it_is_said(tmp_path):
    folder = write(tmp_path, (64, 16))
    loaded = load(folder, resize_size=16)
    assert loaded.image_shape == (16, 16, 1) and "75 %" in notes(loaded)[-1]
    (inside,) = notes(load(folder, image_size="16x64", resize_size=16))
    assert "the model takes the center square of images of 16×64, 75 % is cut away" in inside


def test_a_size_in_python_is_checked(tmp_path):
    with pytest.raises(SettingsError, match="image_size: received '16x', expected a side such as"):
        load(write(tmp_path, (16, 16)), image_size="16x")


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(20, 40), (40, 20), (64, 16), (9, 9)])
def test_images_of_tfds_are_fitted_as_files_are(tmp_path, fit, size):
    """Within what TensorFlow's and Pillow's resizing differ: a few levels of a smooth image."""
    import tensorflow as tf

    from kmixer.data.sources.tfds import _resize

    y, x = np.mgrid[: size[0], : size[1]]
    pixels = (60 + 2 * y + x).astype(np.uint8)[..., None]
    Image.fromarray(pixels[..., 0]).save(tmp_path / "image.png")
    expected = decode(tmp_path / "image.png", Decoding(16, 64, 1, fit)).astype(int)
    fitted = _resize(tf.constant(pixels), (16, 64), fit).numpy().astype(int)
    assert fitted.shape == (16, 64, 1) and np.abs(fitted - expected).max() <= 3
