"""A start: a run whose weights are a file of safetensors, ours or published."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import DataError
from ..run import Run

if TYPE_CHECKING:
    import keras

    from ...config.image_size import ImageSize
    from ...models.weight_names import Layout


@dataclass(frozen=True)
class Start(Run):
    """A run that a fine-tuning starts from, by a name instead of a folder.

    Attributes:
        reference: its name, with the revision that was fetched, as config.yaml records it.
        weights: the file of its weights.
        sha256: of that file.
        layout: of the file's names.
        labels: the class names.
    """

    reference: str
    weights: Path
    sha256: str
    layout: Layout
    labels: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its name, without a revision."""
        return self.reference.partition("@")[0]

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.labels

    @property
    def record(self) -> dict[str, Any]:
        """What the section `run` of a fine-tuning's config.yaml says of it."""
        known = {"name": self.reference, "file": self.weights.name, "sha256": self.sha256}
        return known | self.info.get("imported", {})

    @property
    def summary(self) -> str:
        """What it is, on one line without its name."""
        shape = "×".join(map(str, self.info["input_shape"]))
        record = self.record
        origin = f"trained on {self.info['dataset']}" if self.info["dataset"] else None
        license_name = f"licence {record['license']}" if record.get("license") else None
        parts = [
            f"{self.settings.model.name} {record.get('size') or ''}".strip(), shape,
            f"{len(self.labels):,} classes", f"SHA-256 {self.sha256[:12]}…", origin, license_name,
        ]  # fmt: skip
        return ", ".join(filter(None, parts))

    def start_settings(self, image_size: ImageSize | None = None) -> dict[str, Any]:
        """Return a run's; `finetune` names the start and the SHA-256 of its file instead."""
        named = {"run": self.reference, "sha256": self.sha256}
        return super().start_settings(image_size) | {"finetune": named}

    def load_model(self) -> keras.Model:
        """Build its model and read its weights into it.

        Raises:
            DataError: the file is damaged, or its arrays are not those of the model.
        """
        from ...models.published_weights import read_published
        from ..assign_weights import assign_arrays, check_arrays

        published, model = read_published(self.weights, self.layout), self.build_model()
        if published.sha256 != self.sha256:
            raise DataError(f"{self.weights}: changed since it was checked; run it again")
        check_arrays(published, model.weights, "one model")
        assign_arrays(published, model)
        return model

    def check_model(self) -> None:
        """Check nothing: the file's arrays gave the description, or kmixer ships both."""

    def check_finished(self) -> None:
        """Refuse nothing: it is a model, whatever training it comes from."""
