"""Measure `kmixer tune` on Fashion-MNIST; write the figures to docs/runs/tuning.json.

    python docs/measure/tuning.py FOLDER [scaling] [gain] [memory]

FOLDER takes the searches and runs; an interrupted measurement continues there. Scaling: the same six
trials with one worker and with two. Gain: a search, then its best settings and the default preset,
trained with seeds that the search did not use. Memory: of the search's process after 3 and after 30
tiny trials. Each result is written when it is measured. It takes half an hour on two idle cores.
"""

import csv
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

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


def kmixer(folder: Path, *words: str) -> float:
    """Run a command in the folder and return its seconds."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "kmixer_cli", *words], cwd=folder, check=True)
    return time.perf_counter() - start


def scaling(folder: Path) -> dict[str, Any]:
    """Return the trials a minute with one and with two workers."""
    seconds = {}
    for workers in ("1", "2"):
        name = f"scaling-{workers}-{int(time.time())}"
        seconds[workers] = kmixer(folder, *SCALING, "--workers", workers, "--name", name)
    rates = {workers: 60 * 6 / value for workers, value in seconds.items()}
    return {"command": " ".join(["kmixer", *SCALING]), "trials_per_minute": rates}


def gain(folder: Path) -> dict[str, Any]:
    """Return test accuracies of the search's best settings and of the preset, by seed."""
    kmixer(folder, *GAIN)
    with (folder / "saved_models" / "gain" / "trials.csv").open() as file:
        trials = [row for row in csv.DictReader(file) if row["state"] == "finished"]
    best_row = max(trials, key=lambda row: float(row["objective"]))
    best = folder / "saved_models" / "gain" / "best.yaml"
    candidates = {"best": ["--config", str(best)], "fmnist": ["--preset", "fmnist"]}
    runs = {name: _train(folder, name, words) for name, words in candidates.items()}
    searched = {path: value for path, value in best_row.items() if "." in path}
    return {"command": " ".join(["kmixer", *GAIN]), "epochs": EPOCHS, "trials": len(trials),
            "training_seconds": sum(float(row["seconds"]) for row in trials),
            "best": searched, "runs": runs}  # fmt: skip


def _train(folder: Path, name: str, words: list[str]) -> list[dict[str, Any]]:
    results = []
    for seed in SEEDS:
        run = folder / f"{name}-seed{seed}"
        if not (run / "metrics.json").exists():
            options = ["--epochs", str(EPOCHS), "--seed", str(seed), "--out", str(run)]
            kmixer(folder, "train", "fmnist", *words, *options)
        metrics = load_run(run).metrics
        results.append({
            "seed": seed, "test": metrics["best"]["test"]["accuracy"],
            "validation": metrics["best"]["validation"]["accuracy"],
            "parameters": metrics["trainable_parameters"], "seconds": metrics["seconds"],
        })  # fmt: skip
    return results


def memory(folder: Path) -> dict[str, Any]:
    """Return the megabytes of the search's own process after each trial."""
    process = subprocess.Popen(
        [sys.executable, "-m", "kmixer_cli", *MEMORY], cwd=folder, stdout=subprocess.DEVNULL
    )
    status = Path(f"/proc/{process.pid}/status")
    megabytes: dict[int, float] = {}  # by the number of trials that have ended
    journal = folder / "saved_models" / "memory" / "journal.jsonl"
    while process.poll() is None:
        time.sleep(0.2)
        ended = journal.read_text().count('"event": "end"') if journal.exists() else 0
        lines = status.read_text().splitlines() if status.exists() else []
        resident = [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")]
        if resident:
            megabytes[ended] = max(resident[0], megabytes.get(ended, 0))
    assert process.returncode == 0
    return {"command": " ".join(["kmixer", *MEMORY]), "megabytes": {"3": megabytes[3], "30": megabytes[29]},
            "ratio": megabytes[29] / megabytes[3]}  # fmt: skip


MEASUREMENTS = {"scaling": scaling, "gain": gain, "memory": memory}

if __name__ == "__main__":
    folder, names = Path(sys.argv[1]), sys.argv[2:] or list(MEASUREMENTS)
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        report = json.loads(OUT.read_text()) if OUT.exists() else {}
        report |= {"device": processor(), name: MEASUREMENTS[name](folder.resolve())}
        OUT.write_text(json.dumps(report, indent=2) + "\n")
    if "gain" in names:
        runs = report["gain"]["runs"].items()
        tests = {name: [run["test"] for run in of_name] for name, of_name in runs}
        print({name: statistics.mean(values) for name, values in tests.items()})
