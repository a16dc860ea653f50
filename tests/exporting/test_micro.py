"""The export for TensorFlow Lite Micro: its own kernels, on this machine, and a C compiler."""

import json
import re
import shutil
import subprocess
from importlib.util import find_spec
from types import SimpleNamespace

import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("the conversion is TensorFlow's", allow_module_level=True)
if find_spec("tflite_micro") is None:
    pytest.skip("needs kmixer[micro]", allow_module_level=True)

from tensorflow.lite.tools import flatbuffer_utils

from in_process_export import export
from kmixer.errors import RunError
from kmixer.evaluation.images import load_data
from kmixer.exporting import micro_runtime
from kmixer.exporting.artifact import load_artifact
from kmixer.exporting.reference import Reference
from kmixer.exporting.writers import c_sources, convolutions, micro
from kmixer.files.checksums import checksum
from kmixer.layers.activations import gelu_tanh
from kmixer.serving.selection import find_artifact


@pytest.fixture(scope="module")
def exported(trained_run, tmp_path_factory):
    reference = Reference(trained_run, load_data(trained_run))
    return export(reference, "micro", out=tmp_path_factory.mktemp("micro"))


@pytest.fixture(scope="module")
def content(exported):
    return (exported.folder / "model.tflite").read_bytes()


def test_the_manifest_says_what_a_chip_needs(exported, content):
    details = exported.manifest["details"]
    assert exported.folder.name == "micro" and exported.manifest["quantize"] == "int8"
    assert details["flash_bytes"] == len(content) == exported.size
    assert details["litert_images"] == 40 and details["litert_top1_agreement"] == 1.0
    assert details["litert_same_bytes"] == 1.0 and details["litert_fast_top1_agreement"] > 0.9
    assert details["input"]["dtype"] == details["output"]["dtype"] == "int8"
    assert exported.manifest["proof"]["test_accuracy"]["file"] == 1.0
    card = (exported.folder / "README.md").read_text()
    assert f"{details['arena_bytes']:,} bytes of working memory" in card


def test_the_arena_of_the_written_program_is_enough(exported, content):
    header = (exported.folder / "source" / "model_data.h").read_text()
    sizes = {name: int(size) for name, size in re.findall(r"(kModel\w+) = (\d+)", header)}
    assert sizes["kModelArenaBytes"] == exported.manifest["details"]["arena_bytes"]
    assert sizes["kModelBytes"] == len(content) and sizes["kModelInputs"] == 64
    arena = sizes["kModelArenaBytes"] + sizes["kModelPlanBytes"]
    image = np.full((1, 8, 8, 1), 100, np.uint8)
    expected = micro_runtime.open_chip(content)(image)
    np.testing.assert_array_equal(micro_runtime.open_chip(content, arena)(image), expected)


def test_the_sources_compile_and_hold_what_the_kernels_answer(exported, content, tmp_path):
    source = exported.folder / "source"
    methods = re.findall(r"resolver\.(\w+)\(\)", (source / "model_operators.h").read_text())
    assert methods == sorted(methods) and set(methods) <= set(micro.RESOLVER_METHODS.values())
    assert "AddConv2D" in methods and "AddFullyConnected" not in methods
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    main = tmp_path / "print.c"
    main.write_text(
        '#include <stdio.h>\n#include "test_vectors.h"\n'
        "int main(void) {\n"
        "  fwrite(kModelData, 1, kModelBytes, stdout);\n"
        "  fwrite(kTestInputs, 1, sizeof kTestInputs, stdout);\n"
        "  fwrite(kTestOutputs, 1, sizeof kTestOutputs, stdout);\n"
        "  return (int)((size_t)kModelData % 16) + kModelLabels[0][0] - 'a';\n}\n"
    )
    words = [compiler, "-std=c11", "-Wall", "-Wextra", "-Werror", "-I", source, "-o"]
    subprocess.run(
        [*words, tmp_path / "print", main, source / "model_data.c"], check=True, timeout=60
    )
    printed = subprocess.run([tmp_path / "print"], capture_output=True, check=True).stdout
    assert printed[: len(content)] == content
    vectors = np.frombuffer(printed[len(content) :], np.int8)
    pixels, outputs = vectors[: 8 * 64].reshape(8, 8, 8, 1), vectors[8 * 64 :].reshape(8, 2)
    chip = micro_runtime.open_chip(content)
    for image, expected in zip(pixels.view(np.uint8) ^ 128, outputs, strict=True):
        np.testing.assert_array_equal(chip(image[None])[0], expected)


# What main.cc calls of TensorFlow Lite Micro, with its signatures; answers come from stdin. Two
# files have one name, as in the real tree.
TREE = {
    "tensorflow/lite/micro/micro_mutable_op_resolver.h": """#pragma once
enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };
namespace tflite {
struct MicroOpResolver {};
template <unsigned int count> struct MicroMutableOpResolver : MicroOpResolver { METHODS };
}
""",
    "tensorflow/lite/schema/schema_generated.h": """#pragma once
namespace tflite { struct Model {}; inline const Model* GetModel(const void* data) {
  return static_cast<const Model*>(data); } }
""",
    "tensorflow/lite/micro/micro_interpreter.h": """#pragma once
#include <cstddef>
#include <cstdint>
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"
union TfLitePtrUnion { int8_t* int8; };
struct TfLiteTensor { TfLitePtrUnion data; };
struct MicroResourceVariables; struct MicroProfilerInterface;
namespace tflite {
class MicroInterpreter {
 public:
  MicroInterpreter(const Model*, const MicroOpResolver&, uint8_t*, size_t,
      MicroResourceVariables* = nullptr, MicroProfilerInterface* = nullptr, bool = false);
  TfLiteStatus AllocateTensors();
  TfLiteStatus Invoke();
  TfLiteTensor* input(size_t); TfLiteTensor* output(size_t);
  size_t arena_used_bytes() const;
};
}
""",
    "tensorflow/lite/micro/micro_interpreter.cc": """
#include "tensorflow/lite/micro/micro_interpreter.h"
#include <cstdio>
size_t kernel_bytes(); size_t library_bytes();
static int8_t memory[1 << 20];
static TfLiteTensor in{{memory}}, out{{memory + (1 << 19)}};
namespace tflite {
MicroInterpreter::MicroInterpreter(const Model*, const MicroOpResolver&, uint8_t*, size_t,
    MicroResourceVariables*, MicroProfilerInterface*, bool) {}
TfLiteStatus MicroInterpreter::AllocateTensors() { return kTfLiteOk; }
TfLiteStatus MicroInterpreter::Invoke() {
  return std::fread(out.data.int8, 1, 2, stdin) == 2 ? kTfLiteOk : kTfLiteError; }
TfLiteTensor* MicroInterpreter::input(size_t) { return &in; }
TfLiteTensor* MicroInterpreter::output(size_t) { return &out; }
size_t MicroInterpreter::arena_used_bytes() const { return kernel_bytes() + library_bytes(); }
}
""",
    "signal/micro/kernels/energy.cc": "#include <cstddef>\nsize_t kernel_bytes() { return 40; }",
    "signal/src/energy.cc": "#include <cstddef>\nsize_t library_bytes() { return 2; }",
    "third_party/kissfft/kiss_fft.c": "#error other sources include it",
}


@pytest.mark.skipif(not (shutil.which("make") and shutil.which("g++")), reason="no make, no g++")
def test_the_program_is_built_against_a_tree_and_compares_each_answer(exported, content, tmp_path):
    source = shutil.copytree(exported.folder / "source", tmp_path / "source")
    methods = "\n".join(
        f"TfLiteStatus {name}() {{ return kTfLiteOk; }}"
        for name in sorted(set(micro.RESOLVER_METHODS.values()))
    )
    for name, text in TREE.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("METHODS", methods))
    words = ["make", "-s", "-C", source, f"TFLM={tmp_path / 'tree'}", "CXX=g++ -Wall -Werror"]
    made = subprocess.run(words, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    vectors = (source / "test_vectors.h").read_text().split("kTestOutputs", 1)[1].split("=", 1)[1]
    outputs = np.array(re.findall(r"-?\d+", vectors), np.int64).astype(np.int8)
    answers = {outputs.tobytes(): (0, "8 of 8"), (outputs ^ 1).tobytes(): (1, "0 of 8")}
    for stdin, (code, says) in answers.items():
        done = subprocess.run(
            [source / "model_test"], input=stdin, capture_output=True, check=False
        )
        assert done.returncode == code
        assert f"{says} as expected; 42 bytes of the arena used" in done.stdout.decode()


def test_an_export_for_chips_is_served_only_where_there_is_no_other(
    exported, tflite_export, tmp_path
):
    folder = tmp_path / "run"
    shutil.copytree(exported.folder, folder / "export" / "micro")
    assert find_artifact(folder, None).manifest["format"] == "micro"
    shutil.copytree(tflite_export.folder, folder / "export" / "tflite")
    assert find_artifact(folder, None).manifest["format"] == "tflite"


def test_a_file_that_is_not_sound_is_refused_before_it_reaches_the_kernels(exported, tmp_path):
    folder = shutil.copytree(exported.folder, tmp_path / "micro")
    path, manifest = folder / "model.tflite", json.loads((folder / "manifest.json").read_text())
    path.write_bytes(path.read_bytes()[:-4096])
    manifest["files"]["model.tflite"] = checksum(path)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RunError, match="cannot be opened"):
        load_artifact(folder).open()


def test_an_operator_that_the_kernels_lack_is_named():
    gelu = SimpleNamespace(customCode=None, builtinCode=150, deprecatedBuiltinCode=127)
    graph = SimpleNamespace(operators=[SimpleNamespace(opcodeIndex=0)])
    with pytest.raises(RunError, match="the operator GELU, which TensorFlow Lite Micro does not"):
        micro._resolver_methods(SimpleNamespace(operatorCodes=[gelu], subgraphs=[graph]))


def test_products_are_convolutions_of_one_pixel(content):
    packed = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    names = [micro._operator_name(code) for code in packed.operatorCodes]
    assert "CONV_2D" in names and "FULLY_CONNECTED" not in {
        names[operator.opcodeIndex] for operator in packed.subgraphs[0].operators
    }
    (graph,) = packed.subgraphs
    end = graph.operators[-1]
    assert [list(graph.tensors[end.outputs[0]].shape), names[end.opcodeIndex]] == [
        [1, 2],
        "SOFTMAX",
    ]
    packed.operatorCodes[end.opcodeIndex].builtinCode = 69  # TILE
    with pytest.raises(RunError, match="operator 69 of 2 dimensions, expected 4 on a chip"):
        convolutions.dense_as_convolutions(packed)


@pytest.mark.parametrize("form", [keras.activations.gelu, gelu_tanh])
def test_gelu_by_its_logistic_form_is_within_two_hundredths(form):
    import tensorflow as tf

    x = np.linspace(-8, 8, 4001, dtype=np.float32)
    difference = np.abs(micro.activate(form, tf.constant(x)) - form(x)).max()
    assert 0.01 < difference < 0.021
    np.testing.assert_array_equal(micro.activate(tf.nn.relu, x), np.maximum(x, 0))


def test_another_answer_than_litert_is_refused():
    same = np.ones(2000, bool)
    same[:2] = False
    micro_runtime._check_agreement("LiteRT", same)  # 99.9 %
    same[2] = False
    with pytest.raises(RunError, match="for 1,997 of 2,000 images, expected 1,998"):
        micro_runtime._check_agreement("LiteRT", same)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("T-shirt/top", '"T-shirt/top"'),
        ('a "b"\\', '"a \\042b\\042\\134"'),
        ("é1", '"\\303\\2511"'),
        ("??/", '"\\077\\077/"'),
    ],
)
def test_a_class_name_is_a_string_of_c(text, expected):
    assert c_sources.string_literal(text) == expected
