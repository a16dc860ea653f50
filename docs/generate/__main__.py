"""Write the generated pages: from the commands, the settings, the decisions, and docs/runs/.

    python docs/generate

The tests compare the pages with what this writes.
"""

from pathlib import Path

from adr_index import adr_index
from answers_page import answers_page
from architectures import architectures
from cli_page import cli_page
from core_project import core_project
from export_page import export_page
from folders_page import folders_page
from python_page import python_page
from reliability_page import reliability_page
from results_page import results_page
from serve_page import serve_page
from settings_page import settings_page
from speedrun_page import speedrun_page
from tuning_page import tuning_page

from kmixer.evaluation import figures
from kmixer.runs.run import load_run

DOCS = Path(__file__).parent.parent
RUNS = DOCS / "runs"
PAGES = {
    "../kmixer/config/architectures.json": architectures,
    "../core/pyproject.toml": core_project,
    "cli.md": cli_page,
    "python.md": python_page,
    "settings.md": settings_page,
    "adr/README.md": lambda: adr_index(DOCS / "adr"),
    "answers.md": lambda: answers_page(RUNS / "answers.json"),
    "results.md": lambda: results_page(RUNS),
    "export.md": lambda: export_page(RUNS / "exports"),
    "reliability.md": lambda: reliability_page(RUNS / "reliability.json"),
    "serve.md": lambda: serve_page(RUNS / "serve.json"),
    "folders.md": lambda: folders_page(RUNS / "folders.json"),
    "speedrun.md": lambda: speedrun_page(RUNS),
    "tuning.md": lambda: tuning_page(RUNS / "tuning.json"),
}
CURVES = {"curves-cifar10.png": "cifar10-seed0", "curves-cifar10-nano.png": "cifar10-nano-seed0"}


def draw_curves(name):
    """Return the curves of the run that a picture shows."""
    run = load_run(RUNS / CURVES[name])
    return figures.curves(run.history, run.info["command"], run.settings.soft_labels)


if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
    for name in CURVES:
        figures.save(draw_curves(name), DOCS / name)
