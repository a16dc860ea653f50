"""What a run's own config.yaml names is opened only where the user has named it on this machine."""

import shutil
from pathlib import Path

import pytest
import yaml

import kmixer
from kmixer.config import DataSettings
from kmixer.data import asked
from kmixer.data.asked import check_asked_data, remember_data
from kmixer.errors import DataError, KmixerError
from kmixer.evaluation.images import choose_images

NEVER = "never named on this machine"


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """Another machine: what was named so far was named on this one."""
    monkeypatch.setenv("KMIXER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("kmixer.data.asked._asked_here", set())


@pytest.fixture
def foreign(elsewhere, trained_run, image_folder, tmp_path):
    """A run that came from somewhere, whose settings name a folder of images that is there."""
    images = shutil.copytree(image_folder, tmp_path / "others")
    run = shutil.copytree(trained_run.folder, tmp_path / "run")
    change(run, data={"name": str(images)})
    return run, images


def change(run, **sections):
    values = yaml.safe_load((run / "config.yaml").read_text())
    for key, value in sections.items():
        values[key] = (values[key] or {}) | value
    (run / "config.yaml").write_text(yaml.safe_dump(values))


def unfinished(run):
    (run / "metrics.json").unlink()
    (run / "model.keras").unlink()


@pytest.fixture
def opened(monkeypatch, foreign):
    """The paths of `foreign`'s images that were opened."""
    import builtins
    import os

    paths, real_open, real_scandir = [], builtins.open, os.scandir
    watched = str(foreign[1])

    def note(function):
        def noting(path, *args, **kwargs):
            if str(path).startswith(watched):
                paths.append(path)
            return function(path, *args, **kwargs)

        return noting

    monkeypatch.setattr(builtins, "open", note(real_open))
    monkeypatch.setattr(os, "scandir", note(real_scandir))
    return paths


@pytest.mark.whole
def test_evaluate_asks_and_once_asked_does_not_ask_again(foreign, opened, run_command):
    run, images = foreign
    done = run_command("evaluate", run)
    assert done.returncode == 1 and NEVER in done.stderr and not opened
    assert f"kmixer data info {images}" in done.stderr and done.stderr.count("\n") == 1
    assert run_command("evaluate", run, images).returncode == 0 and opened
    assert run_command("evaluate", run).returncode == 0


def test_images_below_the_working_folder_are_opened(foreign, opened, run_command, tmp_path):
    run, images = foreign
    assert run_command("evaluate", run, cwd=tmp_path).returncode == 0
    assert opened and str(images).startswith(str(tmp_path))


@pytest.mark.parametrize("where", ["home", "above the home", "beside it", "a link", "itself"])
def test_but_not_from_everywhere(foreign, opened, run_command, tmp_path, where):
    run, images = foreign
    beside = tmp_path / "beside"
    beside.mkdir()
    (beside / "link").symlink_to(images)
    home = {"home": tmp_path, "above the home": tmp_path / "run"}.get(where, "/nowhere")
    if where == "a link":
        change(run, data={"name": str(beside / "link")})
    here = {"beside it": beside, "a link": beside, "itself": images}.get(where, tmp_path)
    done = run_command("evaluate", run, cwd=here, env={"HOME": str(home)})
    assert done.returncode == 1 and NEVER in done.stderr and not opened


@pytest.mark.whole
@pytest.mark.parametrize("command", ["evaluate", "resume", "report", "export"])
def test_every_command_asks(command, foreign, opened, run_command):
    run, _ = foreign
    if command == "resume":
        unfinished(run)
    more = ["--format", "tflite", "--out", run.parent / "exports"] if command == "export" else []
    done = run_command(command, run, *more)
    assert not opened
    if command in ("evaluate", "resume"):
        assert done.returncode == 1 and NEVER in done.stderr
    elif command == "report":
        assert done.returncode == 0 and NEVER in (run / "report.html").read_text()
    else:
        assert done.returncode == 0 and "verified on Fashion-MNIST" in done.stdout


def test_data_info_names_a_folder_for_good(foreign, run_command, monkeypatch):
    run, images = foreign
    assert run_command("data", "info", f"{images}/").returncode == 0
    monkeypatch.setattr("kmixer.data.asked._asked_here", set())  # another process
    assert run_command("evaluate", run).returncode == 0


@pytest.mark.parametrize(
    "name", ["{images}/../others", "{link}", "{inside}", "/proc/self/cwd", "/"]
)
def test_other_ways_to_write_a_path_are_not_named_either(name, foreign, run_command, tmp_path):
    run, images = foreign
    (tmp_path / "link").symlink_to(images)
    inside = shutil.copytree(images, run / "images")
    change(run, data={"name": name.format(images=images, link=tmp_path / "link", inside=inside)})
    done = run_command("evaluate", run, cwd=run)
    assert done.returncode == 1 and NEVER in done.stderr


@pytest.mark.parametrize("name", ["//host/share", "http://example.org/x", "\\\\host\\share"])
def test_network_paths_are_no_folders(name, foreign, run_command):
    run, _ = foreign
    change(run, data={"name": name})
    assert run_command("evaluate", run).returncode == 1


def test_a_named_folder_does_not_name_those_in_it_or_beside_it(foreign, image_folder, tmp_path):
    run, images = foreign
    remember_data(DataSettings(name=str(images)))
    for other in (images.parent, image_folder):
        with pytest.raises(DataError, match=NEVER):
            check_asked_data(DataSettings(name=str(other)), run)


@pytest.mark.parametrize("name", ["mnist", "cifar10", "cifar100", "tfds:mnist", "tfds:mine"])
def test_prepared_data_are_opened_only_in_the_users_own_folder(
    name, elsewhere, tmp_path, monkeypatch
):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "own"))
    with pytest.raises(DataError, match=rf"{NEVER}.*--data-dir"):
        check_asked_data(DataSettings(name=name, dir=str(tmp_path / "theirs")), "run")
    if name.startswith("tfds:"):
        with pytest.raises(DataError, match=NEVER):
            check_asked_data(DataSettings(name=name), "run")
    else:
        check_asked_data(DataSettings(name=name, dir=str(tmp_path / "own")), "run")
    remember_data(DataSettings(name=name, dir=str(tmp_path / "theirs")))
    check_asked_data(DataSettings(name=name, dir=str(tmp_path / "theirs")), "run")


def test_the_record_of_one_machine_is_not_in_the_run(foreign, run_command, tmp_path):
    """A run that brings a record along is not believed."""
    run, images = foreign
    remember_data(DataSettings(name=str(images)))
    shutil.copytree(tmp_path / "cache" / "asked", run / "asked")
    shutil.rmtree(tmp_path / "cache")
    asked._asked_here.clear()
    done = run_command("evaluate", run, cwd=run)
    assert done.returncode == 1 and NEVER in done.stderr


def test_a_start_that_was_never_named_is_not_fetched(foreign, run_command):
    run, images = foreign
    remember_data(DataSettings(name=str(images)))
    unfinished(run)
    change(run, finetune={"run": "somebody/else"})
    for checkpoint in run.glob("checkpoint*"):  # with one, the start is not needed
        checkpoint.unlink()
    done = run_command("resume", run)
    assert done.returncode == 1 and f"the start somebody/else, which was {NEVER}" in done.stderr


def test_a_run_config_as_settings_names_no_folder(foreign, run_command, tmp_path):
    run, _ = foreign
    change(run, data={"dir": str(tmp_path / "theirs")})
    done = run_command("train", "mnist", "--config", run / "config.yaml")
    assert done.returncode == 1 and NEVER in done.stderr


@pytest.mark.whole
def test_who_trained_here_does_not_notice(
    elsewhere, tiny, image_folder, tmp_path, run_command, monkeypatch
):
    """Trained here, then moved, then in another process, then from where nothing can be kept."""
    run = kmixer.train(kmixer.build_settings(tiny), root=tmp_path / "runs", verbose=0)
    monkeypatch.setattr("kmixer.data.asked._asked_here", set())
    moved = shutil.move(run.folder, tmp_path / "moved")
    assert run_command("evaluate", moved).returncode == 0
    assert run_command("data", "cache", "clear").returncode == 0
    assert run_command("evaluate", moved).returncode == 0


def test_where_nothing_can_be_remembered_the_remedy_is_told(
    foreign, run_command, tmp_path, monkeypatch
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("KMIXER_CACHE", str(tmp_path / "file" / "cache"))
    done = run_command("evaluate", foreign[0])
    assert done.returncode == 1
    assert "set KMIXER_CACHE to a folder that can be written and is kept, and name" in done.stderr
    monkeypatch.setenv("KMIXER_CACHE", str(tmp_path / "kept"))
    assert "KMIXER_CACHE" not in run_command("evaluate", foreign[0]).stderr


def test_a_cache_that_cannot_be_written_is_no_error(elsewhere, image_folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KMIXER_CACHE", str(tmp_path / "file" / "cache"))
    remember_data(DataSettings(name=str(image_folder)))
    check_asked_data(DataSettings(name=str(image_folder)), "run")  # in this process


def unsearchable(tmp_path, monkeypatch):
    """A cache in a folder that this user may not look into, such as another one's home."""
    real = Path.stat

    def stat(path, **options):
        if str(path).startswith(str(tmp_path / "cache")):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, **options)

    monkeypatch.setattr(Path, "stat", stat)


def too_long(tmp_path, monkeypatch):
    monkeypatch.setenv("KMIXER_CACHE", str(tmp_path / ("x" * 300)))


def under_a_file(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KMIXER_CACHE", str(tmp_path / "file" / "cache"))


@pytest.mark.parametrize("broken", [unsearchable, too_long, under_a_file])
def test_where_nothing_is_kept_the_error_says_where_it_could_be(
    broken, elsewhere, image_folder, tmp_path, monkeypatch
):
    broken(tmp_path, monkeypatch)
    data = DataSettings(name=str(image_folder))
    with pytest.raises(DataError, match="set KMIXER_CACHE to a folder that can be written"):
        check_asked_data(data, "run")
    remember_data(data)
    check_asked_data(data, "run")  # in this process


def test_where_it_is_kept_the_error_asks_for_no_other_folder(elsewhere, image_folder):
    with pytest.raises(DataError, match=r"be opened, name them: kmixer data info \S+$"):
        check_asked_data(DataSettings(name=str(image_folder)), "run")


def test_as_a_figure(foreign, opened, run_command, saw, tmp_path):
    run, images = foreign
    names = [str(images), f"{images}/../others", str(images.parent), "/", "//host/x", "http://host/x",
             "tfds:mine", "tfds:../x", "tfds:huggingface:x"]  # fmt: skip
    refused = 0
    for name in names:
        change(run, data={"name": name, "dir": str(tmp_path)})
        try:
            choose_images(kmixer.load_run(run))
        except KmixerError:
            refused += 1
    assert refused == len(names) and not opened
    saw("asked data", f"{refused} of {refused} places that only a run names: none opened")
