"""Measure `kmixer tune` on Fashion-MNIST; write what was seen to docs/runs/tuning.json.

    python docs/measure/tuning.py FOLDER [scaling] [gain] [memory]

FOLDER takes the searches and runs; a measurement that was interrupted goes on there. Scaling: the
same six trials with one worker and with two. Gain: a search, then its best and the default preset
trained with seeds that the search has not seen. Memory: of the search's process after 3 and after
30 tiny trials. Each is written as it is done. It takes about half an hour on two idle cores.
"""

import csv
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from kmixer.runs.provenance import processor
from kmixer.runs.run import load_run

OUT = Path(__file__).parent.parent / "runs" / "tuning.json"
EPOCHS, TRIALS, SEEDS = 3, 12, (1, 2, 3)
SCALING = [
    "tune", "fmnist", "--epochs", "1", "--trials", "6", "--search", "model.blocks=1,2",
    "--search", "optimizer.learning_rate=0.01..0.05:log",
]  # fmt: skip
GAIN = [
    "tune", "fmnist", "--epochs", str(EPOCHS), "--trials", str(TRIALS), "--workers", "2",
    "--tuner", "bayesian", "--max-params", "400000", "--name", "gain",
    "--search", "model.blocks=1,2,3", "--search", "model.hidden_dim=96..192:32",
    "--search", "model.tokens_mlp_dim=32,64,128", "--search", "model.channels_mlp_dim=256,384,512",
    "--search", "model.patch_size=4,8", "--search", "data.batch_size=64,128,256",
    "--search", "optimizer.learning_rate=0.01..0.06:log",
    "--search", "optimizer.weight_decay=0.05..0.6:log", "--search", "schedule.warmup_epochs=0.3,1.0",
]  # fmt: skip
MEMORY = [
    "tune", "fmnist", "--epochs", "1", "--trials", "30", "--name", "memory", "--set", "data.train_per_class=30",
    "--set", "training.jit=false", "--set", "model.patch_size=14", "--set", "model.patch_stride=14",
    "--search", "model.blocks=1,2,3", "--search", "model.hidden_dim=32..256:16",
    "--search", "optimizer.learning_rate=0.001..0.1:log",
]  # fmt: skip


def kmixer(folder, *words):
    """Run a command in the folder and return its seconds."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "kmixer_cli", *words], cwd=folder, check=True)
    return time.perf_counter() - began


def scaling(folder):
    """Return the trials a minute with one and with two workers."""
    seconds = {}
    for workers in ("1", "2"):
        name = f"scaling-{workers}-{int(time.time())}"
        seconds[workers] = kmixer(folder, *SCALING, "--workers", workers, "--name", name)
    rates = {workers: 60 * 6 / taken for workers, taken in seconds.items()}
    return {"command": " ".join(["kmixer", *SCALING]), "trials_per_minute": rates}


def gain(folder):
    """Return test accuracies of the search's best settings and of the preset, by seed."""
    kmixer(folder, *GAIN)
    with (folder / "saved_models" / "gain" / "trials.csv").open() as file:
        trials = [row for row in csv.DictReader(file) if row["state"] == "finished"]
    chosen = max(trials, key=lambda row: float(row["objective"]))
    best = folder / "saved_models" / "gain" / "best.yaml"
    starts = {"best": ["--config", str(best)], "fmnist": ["--preset", "fmnist"]}
    found = {name: _train(folder, name, words) for name, words in starts.items()}
    searched = {path: value for path, value in chosen.items() if "." in path}
    return {"command": " ".join(["kmixer", *GAIN]), "epochs": EPOCHS, "trials": len(trials),
            "training_seconds": sum(float(row["seconds"]) for row in trials),
            "best": searched, "runs": found}  # fmt: skip


def _train(folder, name, words):
    measured = []
    for seed in SEEDS:
        run = folder / f"{name}-seed{seed}"
        if not (run / "metrics.json").exists():
            more = ["--epochs", str(EPOCHS), "--seed", str(seed), "--out", str(run)]
            kmixer(folder, "train", "fmnist", *words, *more)
        metrics = load_run(run).metrics
        measured.append({
            "seed": seed, "test": metrics["best"]["test"]["accuracy"],
            "validation": metrics["best"]["validation"]["accuracy"],
            "parameters": metrics["trainable_parameters"], "seconds": metrics["seconds"],
        })  # fmt: skip
    return measured


def memory(folder):
    """Return the megabytes of the search's own process after each trial."""
    process = subprocess.Popen(
        [sys.executable, "-m", "kmixer_cli", *MEMORY], cwd=folder, stdout=subprocess.DEVNULL
    )
    status, seen = Path(f"/proc/{process.pid}/status"), {}
    journal = folder / "saved_models" / "memory" / "journal.jsonl"
    while process.poll() is None:
        time.sleep(0.2)
        ended = journal.read_text().count('"event": "end"') if journal.exists() else 0
        lines = status.read_text().splitlines() if status.exists() else []
        resident = [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")]
        if resident:
            seen[ended] = max(resident[0], seen.get(ended, 0))
    assert process.returncode == 0
    return {"command": " ".join(["kmixer", *MEMORY]), "megabytes": {"3": seen[3], "30": seen[29]},
            "ratio": seen[29] / seen[3]}  # fmt: skip


MEASUREMENTS = {"scaling": scaling, "gain": gain, "memory": memory}

if __name__ == "__main__":
    folder, names = Path(sys.argv[1]), sys.argv[2:] or list(MEASUREMENTS)
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        report = json.loads(OUT.read_text()) if OUT.exists() else {}
        report |= {"device": processor(), name: MEASUREMENTS[name](folder.resolve())}
        OUT.write_text(json.dumps(report, indent=2) + "\n")
    if "gain" in names:
        tests = {k: [r["test"] for r in v] for k, v in report["gain"]["runs"].items()}
        print({name: statistics.mean(values) for name, values in tests.items()})
