"""Write the generated pages: docs/settings.md from the settings, the others from docs/runs/.

    python docs/generate

The tests compare the pages with what this writes.
"""

from pathlib import Path

from export_page import export_page
from reliability_page import reliability_page
from results_page import results_page
from serve_page import serve_page
from settings_page import settings_page
from tuning_page import tuning_page

DOCS = Path(__file__).parent.parent
RUNS = DOCS / "runs"
PAGES = {
    "settings.md": settings_page,
    "results.md": lambda: results_page(RUNS),
    "export.md": lambda: export_page(RUNS / "exports"),
    "reliability.md": lambda: reliability_page(RUNS / "reliability.json"),
    "serve.md": lambda: serve_page(RUNS / "serve.json"),
    "tuning.md": lambda: tuning_page(RUNS / "tuning.json"),
}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
