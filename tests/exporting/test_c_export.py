"""The C header: the Keras model's answers by strict compilers, whatever the model and its names."""

import ctypes
import os
import shutil
import subprocess
from itertools import pairwise
from math import prod

import keras
import numpy as np
import pytest

from in_process_export import export
from kmixer.errors import RunError, SettingsError
from kmixer.exporting import c_compiler
from kmixer.exporting.artifact import load_artifact
from kmixer.exporting.lowering import lower
from kmixer.exporting.memory_plan import plan_memory
from kmixer.exporting.reference import Reference
from kmixer.exporting.steps import Activation, Add, Affine, Dense, LayerNorm, Mean, Softmax
from kmixer.exporting.support import find_format
from kmixer.exporting.writers import c_sources, to_c
from kmixer.runs.answers import Answers
from kmixer.serving import selection
from model_forms import CNN_FORMS, FORMS, MIXER, build_form

if keras.backend.backend() != "tensorflow":
    pytest.skip("the steps are tried on each backend", allow_module_level=True)

needs_compiler = pytest.mark.skipif(
    c_compiler.find_compiler() is None, reason="no C compiler is installed"
)
RESIZED = {"image_size": 11, "resize_size": 12, "crop_size": 8}
MODELS = {name: {"model": {"name": "mixer"} | form} for name, form in (FORMS | CNN_FORMS).items()}
MODELS["resized"] = {"model": {"name": "mixer"} | MIXER, "data": RESIZED}
STRICT = ["-Wall", "-Wextra", "-Werror", "-pedantic"]
SANITIZED = ["-O0", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
IMAGES = 3

MAIN = """#include <stdio.h>
#include <stdlib.h>

/* Each model has its memory to the byte, so that a sanitizer sees what is outside of it. */
#define ANSWER(name, NAME) \\
    do {{ \\
        float *scratch = (float *)malloc(NAME##_SCRATCH_BYTES), *answer = (float *)malloc(4 * NAME##_CLASSES); \\
        uint8_t *image = (uint8_t *)malloc(NAME##_IMAGE_BYTES); \\
        for (int i = 0; i < {images}; i++) {{ \\
            if (fread(image, 1, NAME##_IMAGE_BYTES, stdin) != NAME##_IMAGE_BYTES) return 1; \\
            if (answer[name##_predict(image, answer, scratch)] <= 0.0f) return 2; \\
            fwrite(answer, 4, NAME##_CLASSES, stdout); \\
        }} \\
        free(scratch); free(answer); free(image); \\
    }} while (0)

int main(void)
{{
    {answers}
    return 0;
}}
"""


@pytest.fixture(scope="module")
def models():
    """By its name: a model of each form, as a header's text, with images and Keras' answers."""
    made = {}
    for number, (name, sections) in enumerate(MODELS.items()):
        side = 11 if name == "resized" else 8
        model = build_form(sections, (side, side, 1 + number % 2 * 2), 10)
        images = np.random.default_rng(1).integers(
            0, 256, (IMAGES, *model.input_shape[1:]), dtype=np.uint8
        )
        expected = keras.ops.convert_to_numpy(keras.ops.softmax(model(images)))
        values = to_c.header_values(lower(model), name, [f"class {i}" for i in range(10)])
        made[values["name"]] = to_c.render(to_c.HEADER, values), images, expected
    return made


@needs_compiler
@pytest.mark.parametrize(
    ("program", "flags"),
    [("cc", ["-std=c99", *SANITIZED]), ("g++", ["-x", "c++", "-std=c++11", "-O0"])],
    ids=["sanitizers", "C++"],
)
def test_all_models_in_one_program_without_a_warning(models, tmp_path, program, flags):
    path = c_compiler.find_compiler()[0] if program == "cc" else shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed")
    text = ""
    for name, (header, _, _) in models.items():
        (tmp_path / f"{name}.h").write_text(header)
        text += f'#define {name.upper()}_IMPLEMENTATION\n#include "{name}.h"\n'
    answers = "\n    ".join(f"ANSWER({name}, {name.upper()});" for name in models)
    source, out = tmp_path / "main.c", tmp_path / "main"
    source.write_text(text + MAIN.format(images=IMAGES, answers=answers))
    words = [path, *flags, *STRICT, str(source), "-o", str(out), "-lm"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if "cannot find" in done.stderr and "san" in done.stderr:
        pytest.skip("the compiler has no sanitizers")
    assert done.returncode == 0, done.stderr
    stdin = b"".join(images.tobytes() for _, images, _ in models.values())
    done = subprocess.run([out], input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    received = np.frombuffer(done.stdout, np.float32).reshape(len(models), IMAGES, 10)
    for name, answer in zip(models, received, strict=True):
        np.testing.assert_allclose(answer, models[name][2], rtol=0, atol=1e-5, err_msg=name)


NAMES = [
    'a "quoted" one',
    "two\nlines",
    "*/ } #error",
    "what??/",
    "Überzug",
    "猫 1",
    "\\",
    "%s",
    "",
]


@needs_compiler
@pytest.mark.parametrize("run_name", ["2 Schüsse */ ??/", "int", "猫", "x" * 100])
def test_any_name_is_told_as_it_is(run_name, tmp_path):
    one = np.ones(1, np.float32)
    steps = [Affine((2, 2, 1), (2, 2, 1), 2, one, one),
             Dense((4,), (9,), 0, np.ones((4, 9), np.float32), None), Softmax((9,), (9,))]  # fmt: skip
    values = to_c.header_values(steps, run_name, NAMES)
    header = tmp_path / "model.h"
    header.write_text(to_c.render(to_c.HEADER, values))
    assert header.read_text().isascii() and len(values["name"]) <= 31
    predict, runtime = c_compiler.compiled(header)
    np.testing.assert_allclose(predict(np.ones((2, 2, 2, 1), np.uint8)), np.full((2, 9), 1 / 9))
    assert "-O2" in runtime
    names = ctypes.CDLL(str(tmp_path / "library.so"))
    told = (ctypes.c_char_p * len(NAMES)).in_dll(names, f"{values['name']}_class_names")
    assert [text.decode() for text in told] == NAMES
    with pytest.raises(ValueError, match="images of 5 bytes"):
        predict(np.ones((2, 5, 1, 1), np.uint8))


@needs_compiler
def test_the_header_tells_sets_and_unknown_images_as_kmixer_does(tmp_path):
    one = np.ones(1, np.float32)
    steps = [Affine((2, 2, 1), (2, 2, 1), 2, one, one),
             Dense((4,), (9,), 0, np.ones((4, 9), np.float32), None), Softmax((9,), (9,))]  # fmt: skip
    answers = Answers(coverage=0.9, per_class=True, least=[*np.linspace(0.02, 0.9, 9)],
                      refusals=0.05, least_spread=1.2)  # fmt: skip
    header = tmp_path / "model.h"
    header.write_text(to_c.render(to_c.HEADER, to_c.header_values(steps, "m", NAMES, answers)))
    assert "90 of 100 get it among them" in header.read_text()
    c_compiler.compiled(header)
    library = ctypes.CDLL(str(tmp_path / "library.so"))
    logits = np.random.default_rng(0).normal(0, np.linspace(0.1, 3, 200)[:, None], (200, 9))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    known, sets = [], []
    for row in probabilities.astype(np.float32):
        numbers, classes = (ctypes.c_float * 9)(*row), (ctypes.c_uint8 * 9)()
        assert library.m_may_be(numbers, classes) == sum(classes)
        known.append(bool(library.m_knows(numbers)))
        sets.append([*map(bool, classes)])
    np.testing.assert_array_equal(sets, answers.sets(probabilities))
    np.testing.assert_array_equal(known, answers.knows(probabilities))
    assert 0 < sum(known) < 200 and len({sum(row) for row in sets}) > 2


def test_identifiers_and_strings_by_hand():
    assert to_c.identifier("fmnist-best 2") == "fmnist_best_2"
    assert to_c.identifier("2 Schüsse") == "model_2_schusse"
    assert to_c.identifier("猫") == to_c.identifier("--") == "model"
    assert c_sources.string_literal('a "b"?') == r'"a \042b\042\077"'
    assert c_sources.string_literal("é\n1") == r'"\303\251\0121"'


def test_every_weight_is_written_so_that_it_is_read_back_to_the_bit():
    numbers = np.random.default_rng(0).integers(0, 2**32, 2000, dtype=np.uint32).view(np.float32)
    numbers = np.append(
        numbers[np.isfinite(numbers)], np.float32([0, -0.0, 1, 1e-45, 3.4028235e38])
    )
    texts = to_c._numbers(numbers).replace("f,", "").split()
    np.testing.assert_array_equal(np.array(texts, np.float32).view("u4"), numbers.view("u4"))
    assert all("." in text or "e" in text for text in texts)  # `1f` is no C


def test_memory_by_hand():
    one, square = np.ones(4, np.float32), np.ones((4, 4), np.float32)
    steps = [
        LayerNorm(
            (9, 4), (9, 4), one, one, 1e-6
        ),  # 36 numbers beside 36, of which the sum is later
        Dense((9, 4), (9, 4), 1, square, None),  # where the image's skip connection still lies, …
        Activation((9, 4), (9, 4), "relu"),
        Add((9, 4), (9, 4), 0),
        Mean((9, 4), (4,)),
        Softmax((4,), (4,)),
    ]
    plan = plan_memory(steps)
    assert plan.size == 3 * 36 and len({*plan.values[:3]}) == 3
    assert plan.in_place(3) and plan.in_place(4) and not plan.in_place(5)


@pytest.mark.parametrize("name", ["post-norm", "shift_mlp", "cnn, padded", "no norm, no skips"])
def test_what_is_needed_at_the_same_time_does_not_overlap(name):
    steps = lower(build_form(MODELS[name], (8, 8, 1), 10))
    plan, live = plan_memory(steps), {0}
    for number, step in enumerate(steps[:-1], 1):
        later = [*range(number + 1, len(steps) + 1)]
        needed = {n - 1 for n in later} | {s.other for s in steps[number:] if isinstance(s, Add)}
        live = {value for value in live | {number} if value in needed}
        places = sorted((plan.values[value], _size(steps, value)) for value in live)
        for (first, size), (second, _) in pairwise(places):
            assert first + size <= second, step
        assert all(first + size <= plan.size for first, size in places)


def _size(steps, value):
    return prod(steps[value - 1].shape if value else steps[0].input_shape)


@pytest.fixture(scope="module")
def reference(trained_run):
    return Reference(trained_run)


def test_without_a_compiler_it_is_refused_before_anything_is_written(monkeypatch, tmp_path):
    monkeypatch.setenv("CC", "no-such-compiler -m64")
    with pytest.raises(
        SettingsError, match="--format: c needs a C compiler, and CC names 'no-such"
    ):
        find_format("c")
    monkeypatch.delenv("CC")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingsError, match="a C compiler: none of cc, gcc, clang is found"):
        find_format("c")
    with pytest.raises(SettingsError, match="'int8' with --format c, which has none"):
        find_format("c", "int8")


@pytest.mark.skipif(os.name != "posix", reason="the compilers are shell scripts")
@pytest.mark.parametrize(
    ("script", "message"),
    [("echo 'warning: odd' >&2; echo 'model.h:7: error: boom' >&2; exit 1", "model.h:7: error: boom"),
     ("exit 1", "no reason given"), ("exit 0", "library.so")],
)  # fmt: skip
def test_a_compiler_that_fails_is_one_line(script, message, reference, tmp_path, monkeypatch):
    program = tmp_path / "broken-cc"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("CC", str(program))
    with pytest.raises((RunError, OSError), match=message):
        export(reference, "c", out=tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_model_too_large_for_a_header_is_refused(reference, tmp_path, monkeypatch):
    for name, message in [("MOST_WEIGHTS", r"\d weights, [\d,]+ bytes, are too many for a header"),
                          ("MOST_SCRATCH", r"values take [\d,]+ bytes of memory")]:  # fmt: skip
        with monkeypatch.context() as patch:
            patch.setattr(to_c, name, 100)
            with pytest.raises(RunError, match=message):
                export(reference, "c", out=tmp_path / "out")
        assert list((tmp_path / "out").iterdir()) == []


@needs_compiler
def test_the_code_of_a_folder_is_never_compiled(reference, tmp_path, monkeypatch, run_command):
    artifact = export(reference, "c", out=tmp_path / "run" / "export")
    monkeypatch.setattr(c_compiler, "compiled", None)  # nobody asks for it
    with pytest.raises(RunError, match="kmixer opens no exports of format c"):
        load_artifact(artifact.folder).open()
    assert selection._usable_exports(artifact.folder.parent) == []
    done = run_command("predict", artifact.folder, artifact.folder / "example.png")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
