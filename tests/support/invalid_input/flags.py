"""Malformed command lines: words that no option takes, and values outside what it takes."""

from invalid_input.case import Case, written

# An option's bad values, and what the error names.
TRAIN = {
    "--blocks": ("0", "-1", "1.5", "two", "", "nan", "[2]"),
    "--patch-size": ("0", "9", "x"),
    "--patch-stride": ("0", "-3", "x"),
    "--hidden-dim": ("0", "1e3", "x"),
    "--tokens-mlp-dim": ("0", "[1]", "x"),
    "--channels-mlp-dim": ("0", "[1,2,3]", "x"),
    "--dropout": ("1", "-0.1", "nan", "x"),
    "--epochs": ("0", "true", "1e9", "x"),
    "--batch-size": ("0", "x"),
    "--optimizer": ("addam", "1", "os.system"),
    "--learning-rate": ("0", "-1", "inf", "nan", "x"),
    "--weight-decay": ("-1", "nan", "x"),
    "--schedule": ("linear", "2"),
    "--seed": ("-1", "4294967296", "x"),
    "--precision": ("float8", "2"),
    "--distribute": ("everywhere", "2"),
    "--steps-per-execution": ("0", "x", "1000000"),
    "--image-size": ("0", "-8", "x"),
    "--backend": ("tensorfow", "numpy"),
    "--preset": ("", "fmnst", "../fmnist", "/etc/passwd"),
    "--name": ("", "..", "a/b", "/tmp"),
    "--nonsense": ("1",),
}
OTHERS = {
    ("finetune", "run", "{images}"): {
        "--layer-decay": ("0", "2", "nan", "x"), "--freeze": ("nobody", "blocks.7", "blocks.3-1", "blocks.x"),
        "--image-size": ("0", "x"), "--epochs": ("0", "x"), "--learning-rate": ("-1", "nan", "x"),
        "--preset": ("nobody", ""), "--config": ("nowhere.yaml",), "--name": ("", "../x"),
    },
    ("resume", "run"): {"--nonsense": ("1",)},
    ("evaluate", "run"): {"--split": ("tset", ""), "--backend": ("theano",)},
    ("predict", "run", "{images}"): {"--top": ("0", "-1", "x"), "--csv": ("run", ".", "no/such/folder.csv"),
                                     "--max-pixels": ("0", "x"), "--backend": ("theano",)},
    ("export", "run", "--format", "tflite"): {
        "--format": ("pickle", ""), "--quantize": ("int3", ""), "--max-drop": ("-1", "x"), "--data": ("nowhere",),
    },
    ("serve", "run"): {
        "--port": ("70000", "-1", "x"), "--threads": ("0", "x"), "--max-batch": ("0",), "--queue": ("0", "x"),
        "--batch-wait": ("-1", "2000", "x"), "--max-body": ("0", "x"),
        "--max-pixels": ("0", "x"), "--name": ("a/b", "", "../x"),
        "--host": ("256.256.256.256",),
    },
    ("compare", "run"): {"--csv": ("run", ".", "no/such/table.csv"), "--markdown": ("no/such/table.md",)},
    ("report", "run"): {
        "--out": ("run", ".", "no/such/report.html", "run/labels.txt/report.html", "x" * 300), "--backend": ("theano",),
    },
    ("sweep", "{images}", "--grid", "model.blocks=1,2"): {
        "--preset": ("fmnst",), "--backend": ("theano",), "--config": ("nowhere.yaml",), "--name": ("", "a/b"),
    },
    ("tune", "{images}", "--search", "model.blocks=1,2"): {
        "--trials": ("0", "-1", "x"), "--budget": ("", "0s", "5", "10y", "-3m"), "--engine": ("grid", ""),
        "--tuner": ("nonsense", "tpe"), "--objective": ("val_acc", ""), "--max-params": ("0", "x"), "--max-flash": ("0", "x"), "--max-ram": ("0k", "-1"),
        "--max-seconds-per-epoch": ("x",), "--keep": ("0",), "--seed": ("-1",), "--workers": ("0",),
        "--role": ("boss",), "--epochs": ("0", "x"), "--preset": ("fmnst",), "--name": ("", "a/b"),
        "--storage": ("nonsense://x",),
    },
    ("import-weights", "weights.npz"): {"--size": ("b17", "", "../b16")},
    ("import-weights", "weights.npz", "--size", "b16"): {
        "--mean": ("x",), "--std": ("x",),
    },
    ("models",): {"--image-size": ("0", "x"), "--classes": ("1", "x")},
    ("models", "b16"): {"--classes": ("x",), "--out": ("no/such/picture.png", ".", "/dev/null/x.png")},
    ("benchmark", "{images}"): {"--steps": ("0", "x"), "--rounds": ("0",), "--only": ("nonsense",),
                                "--preset": ("fmnst",)},
    ("data", "info", "{images}"): {"--image-size": ("0", "x")},
    ("data", "show", "{images}"): {"--count": ("0", "33", "x"), "--seed": ("-1",), "--out": (".", "no/such/a.png"),
                                   "--preset": ("fmnst",)},
}  # fmt: skip
BARE = {
    "": "", "trian": "trian", "train": "DATASET", "resume": "RUN", "evaluate": "RUN", "predict": "RUN",
    "serve": "RUN", "compare": "RUN", "report": "RUN", "import-weights": "FILE", "finetune": "START",
    "data infos": "infos", "data import": "NAME", "data import mnist archive.tar.gz": "mnist",
    "sweep {images}": "--grid", "export": "RUN", "models b17": "b17", "presets fmnst": "fmnst",
    "import-weights w.npz": "w.npz", "predict nowhere": "IMAGES", "tune --nonsense": "--nonsense",
    "train fmist": "fmist", "train tfds:": "tfds:", "train tfds:nobody_has_this": "tfds:nobody_has_this",
    "data info nowhere": "nowhere", "data show nowhere": "nowhere", "benchmark nowhere": "nowhere",
    "sweep nowhere --grid model.blocks=1": "nowhere", "tune nowhere": "nowhere", "train fmnist --image-size 32":
    "data.image_size", "evaluate {run} nowhere": "nowhere", "train /dev/null": "/dev/null",
    "compare nowhere": "nowhere", "compare [": "[", "report **/nothing": "**/nothing",
}  # fmt: skip


def cases():
    """Every bad value of every option, and lines that lack or misspell something."""
    for option, values in TRAIN.items():
        for value in values:
            words = ("train", "{images}", "--batch-size=16", f"{option}={value}")
            yield Case(f"train {option} {value!r}", words, _names(option, value))
    for line, options in OTHERS.items():
        for option, values in options.items():
            for value in values:
                yield Case(f"{' '.join(line)} {option} {value!r}", (*line, f"{option}={value}"),
                           _names(option, value), _prepare(line))  # fmt: skip
    for line, named in BARE.items():
        if line:
            yield Case(
                f"kmixer {line}",
                tuple(line.replace("{run}", "run").split()),
                (named,),
                _prepare(line.split()),
            )


def _names(option, value):
    """Return the option, the setting that it sets, and a value long enough to be recognised."""
    words = (option, option.removeprefix("--").replace("-", "_"))
    return (*words, f"{value}:") + ((value,) if len(value) > 2 else ())


def _prepare(line):
    if "run" in line or "{run}" in line:
        return lambda here, good: good.copy_exported_run(here / "run")
    return written("weights.npz", b"no weights")
