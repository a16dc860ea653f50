"""Write the generated pages: docs/settings.md from the settings, docs/results.md from docs/runs/.

    python docs/generate

The tests compare the pages with what this writes.
"""

from pathlib import Path

from results_page import results_page
from settings_page import settings_page

DOCS = Path(__file__).parent.parent
PAGES = {"settings.md": settings_page, "results.md": lambda: results_page(DOCS / "runs")}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
