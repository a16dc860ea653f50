"""What a tracker holds of a folder, read back through its own package, in one form for all."""

import json
from dataclasses import dataclass, field


@dataclass
class Recorded:
    """A record: its state, val_accuracy by epoch, params, closing metrics, names of files."""

    state: str
    curve: list = field(default_factory=list)
    params: dict = field(default_factory=dict)
    metrics: dict = field(default_factory=dict)
    pictures: set = field(default_factory=set)
    model: set = field(default_factory=set)
    parent: str | None = None


def record_id(folder, name):
    return json.loads((folder / "tracking.json").read_text())[name]["id"]


def read_mlflow(folder):
    import mlflow

    client, run_id = mlflow.MlflowClient(), record_id(folder, "mlflow")
    run = client.get_run(run_id)
    files = {item.path for item in client.list_artifacts(run_id)}
    return Recorded(
        run.info.status,
        [(m.step, m.value) for m in client.get_metric_history(run_id, "val_accuracy")],
        run.data.params, run.data.metrics, {name for name in files if name.endswith(".png")},
        {item.path.removeprefix("model/") for item in client.list_artifacts(run_id, "model")},
        run.data.tags.get("mlflow.parentRunId"),
    )  # fmt: skip


def read_trackio(folder):
    import trackio
    from trackio.sqlite_storage import SQLiteStorage

    name = record_id(folder, "trackio")
    (run,) = (run for run in trackio.Api().runs("kmixer") if run.name == name)
    logs = SQLiteStorage.get_logs("kmixer", name, run_id=run.id)
    config, closing = run.config, logs[-1] if logs else {}
    pictures = {f"{key}.png" for key, value in closing.items() if isinstance(value, dict)}
    alerts = [a["title"] for a in sorted(run.alerts(), key=lambda a: a["timestamp"])]
    artifact = SQLiteStorage.get_artifact_manifest("kmixer", name, "latest") or {"manifest": []}
    model = {entry["path"] for entry in artifact["manifest"]}
    group = config["_Group"]
    return Recorded(
        alerts[-1] if alerts else "", [(row["step"], row["val_accuracy"]) for row in logs if "val_accuracy" in row],
        config, closing, pictures, model, None if group == name else group,
    )  # fmt: skip


def read_tensorboard(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    parts = {}
    for part in ("train", "validation"):
        events = EventAccumulator(str(folder / "tensorboard" / part), {"tensors": 0, "images": 0})
        parts[part] = events.Reload()

    def scalars(part, tag):
        found = parts[part].Tensors(tag) if tag in parts[part].Tags()["tensors"] else []
        return [(event.step, float(make_ndarray(event.tensor_proto))) for event in found]

    train = parts["train"]
    tags = train.Tags()["tensors"]
    metrics = {
        tag.removeprefix("result/"): scalars("train", tag)[-1][1]
        for tag in tags
        if tag.startswith("result/")
    }
    text = make_ndarray(train.Tensors("settings")[0].tensor_proto).item().decode()
    params = dict(line.strip("| ").split(" | ") for line in text.splitlines()[2:])
    told = [tag for tag in ("stopped", "failed") if tag in tags]
    ended = "finished" if "_hparams_/session_end_info" in tags else "".join(told)
    pictures = {
        f"{tag}.png" for tag in tags
        if train.SummaryMetadata(tag).plugin_data.plugin_name == "images"
    }  # fmt: skip
    return Recorded(ended, scalars("validation", "accuracy"), params, metrics, pictures)
