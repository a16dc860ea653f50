"""`kmixer predict` and `Run.predict`: which files, which pixels, which classes."""

import csv
import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

import kmixer
from kmixer.data.decode import Decoding
from kmixer.data.image_files import find_images, read_images
from kmixer.errors import DataError, RunError
from kmixer.runs import inference


@pytest.fixture
def photos(tmp_path):
    """Three good images in a folder, larger than the run's, and one that is none."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    bright = np.full((16, 16), 40, np.uint8)
    bright[:8] = 200
    Image.fromarray(bright).save(folder / "above.png")
    Image.fromarray(bright[::-1]).convert("RGB").save(folder / "below.jpg")
    Image.fromarray(bright).convert("CMYK").save(folder / "more" / "printed.tif")
    (folder / "damaged.png").write_bytes(b"\x89PNG\r\n")
    (folder / "notes.txt").write_text("no image")
    return folder


def test_files_folders_and_patterns_are_found_once_and_in_order(photos):
    names = [path.name for path in find_images([photos / "below.jpg", photos])]
    assert names == ["below.jpg", "above.png", "damaged.png", "printed.tif"]
    matched = find_images([f"{photos}/**/*.ti?", f"{photos}/mor*"])
    assert [path.name for path in matched] == ["printed.tif"]
    with pytest.raises(DataError, match=r"\*\.gif: no image file"):
        find_images([f"{photos}/*.gif"])


def test_answers_come_in_order_and_tell_which_file_is_bad(photos):
    files = find_images([photos])

    def mean_pixel(pixels):
        return pixels.reshape(len(pixels), -1)[:, :2] / 255

    predictions = list(inference.predict_files(mean_pixel, files, Decoding(8, 8, 1)))
    assert [answer.error is None for answer in predictions] == [True, True, False, True]
    assert predictions[0].top(("a", "b"), 1) == [("a", pytest.approx(200 / 255, abs=0.01))]
    with pytest.raises(DataError, match="damaged"):  # and no model is called
        list(inference.predict_files(pytest.fail, files, Decoding(8, 8, 1), strict=True))


def test_links_that_lead_back_do_not_keep_a_pattern_busy(tmp_path):
    (tmp_path / "a.png").touch()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "b.png").touch()
    for name in ("one", "two"):
        (tmp_path / name).symlink_to(".", target_is_directory=True)
    assert find_images([f"{tmp_path}/**/*.png"]) == [tmp_path / "a.png"]
    assert find_images([f"{tmp_path}/.h*/*.png"]) == [tmp_path / ".hidden" / "b.png"]


def test_many_files_are_answered_in_batches_without_losing_one(photos, monkeypatch):
    monkeypatch.setattr(inference, "BATCH", 2)
    files = [photos / "above.png", photos / "damaged.png", photos / "below.jpg"] * 3
    sizes = []

    def model(pixels):
        sizes.append(len(pixels))
        return pixels[:, 0, 0, :]

    predictions = list(inference.predict_files(model, files, Decoding(8, 8, 1)))
    assert [answer.path for answer in predictions] == files and sum(sizes) == 6 and max(sizes) <= 2
    assert [a.probabilities[0] > 100 for a in predictions if not a.error] == [True, False] * 3


def test_inverting_swaps_black_and_white(photos):
    (pixels,), (swapped,) = (
        read_images([photos / "above.png"], Decoding(8, 8, 1), invert) for invert in (False, True)
    )
    assert (pixels.astype(int) + swapped == 255).all() and pixels[0, 0, 0] == 200


def test_a_run_predicts_from_python(trained_run, image_folder, photos):
    run = kmixer.load_run(trained_run.folder)
    files = sorted((image_folder / "test" / "above").iterdir())[:3]
    from_files = run.predict(files)
    pixels = np.stack([np.asarray(Image.open(file))[..., None] for file in files])
    np.testing.assert_array_equal(run.predict(pixels), from_files)
    np.testing.assert_allclose(run.predict(pixels[0])[0], from_files[0], rtol=1e-5)
    np.testing.assert_allclose(from_files.sum(axis=1), 1)
    assert (from_files.argmax(axis=1) == run.class_names.index("above")).all()
    assert run.predict(str(photos / "below.jpg")).argmax() == run.class_names.index("below")


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 9, 8, 1), np.uint8),
        np.zeros((2, 8, 8, 1)),
        np.zeros((0, 8, 8, 1), np.uint8),
        [],
    ],
)
def test_pixels_of_another_kind_are_refused(trained_run, images):
    with pytest.raises(DataError, match=r"expected uint8 \(n, 8, 8, 1\) or paths"):
        trained_run.predict(images)


def test_an_unfinished_run_is_refused_and_the_way_on_is_told(trained_run, tmp_path):
    copy = shutil.copytree(trained_run.folder, tmp_path / "begun")
    (copy / "metrics.json").unlink()
    with pytest.raises(RunError, match=f"not finished; go on with: kmixer resume {copy}"):
        kmixer.load_run(copy).predict(np.zeros((1, 8, 8, 1), np.uint8))


def test_the_command_tells_classes_and_counts_what_it_could_not_read(
    run_command, trained_run, photos, tmp_path
):
    table = tmp_path / "predictions.csv"
    done = run_command("predict", trained_run.folder, photos, "--top", 1, "--json", "--csv", table)
    assert done.returncode == 1
    assert "damaged.png" in done.stderr and "1 of 4 files could not be read" in done.stderr
    result = json.loads(done.stdout)
    named = {image["file"].rsplit("/")[-1]: image["classes"][0] for image in result["images"]}
    assert named["above.png"]["class"] == named["printed.tif"]["class"] == "above"
    assert named["below.jpg"]["class"] == "below" and len(result["failed"]) == 1
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["class_1"] for row in rows] == ["above", "below", "above"]
    assert float(rows[0]["probability_1"]) == named["above.png"]["probability"]


def test_the_command_stops_at_a_bad_file_when_told_to(run_command, trained_run, photos):
    done = run_command("predict", trained_run.folder, photos / "damaged.png", "--strict")
    assert done.returncode == 1 and len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


def test_arrays_of_different_sizes_are_refused_in_one_line(trained_run):
    with pytest.raises(DataError, match="expected uint8"):
        trained_run.predict([np.zeros((8, 8, 1), np.uint8), np.zeros((9, 8, 1), np.uint8)])


def test_names_and_files_that_no_image_has_are_told_and_the_rest_goes_on(photos):
    os.mkfifo(photos / "pipe.png")
    files = find_images([photos / "pipe.png", "x" * 300, photos / "above.png"])
    decoding = Decoding(8, 8, 1)
    predictions = list(inference.predict_files(lambda pixels: pixels[:, 0, 0], files, decoding))
    assert "not a file" in predictions[0].error and "cannot be read" in predictions[1].error
    assert predictions[2].error is None


def test_a_file_name_of_any_bytes_is_printed(run_command, trained_run, photos, tmp_path):
    name = os.fsencode(photos) + b"/\xff.png"
    shutil.copy(photos / "above.png", name)
    done = run_command(
        "predict", trained_run.folder, os.fsdecode(name), "--csv", tmp_path / "a.csv"
    )
    assert done.returncode == 0 and "\\xff.png" in done.stdout
    assert "\\xff.png,above" in (tmp_path / "a.csv").read_text()
