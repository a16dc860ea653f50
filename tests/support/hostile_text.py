"""Text that attacks whatever shows it, a run whose every text field holds some, and what came through."""

import csv
import html.parser
import io
import json
import re
import shutil
from pathlib import Path

import yaml
from markdown_it import MarkdownIt

from kmixer.files.printable import printable
from kmixer.runs.run import load_run

TERMINAL = (
    "\x1b[31m\x1b]0;pwned\x07\x1b]8;;http://evil\x1b\\\x9b2J\x90q\x9c\x7f\x08\u202eexe\u2066\u200bx"
    "\ufeff\U000e0041 [red]r[/red] [link=http://evil]l[/] :skull:"
)
MARKUP = (
    "</title></script><script>alert(1)</script><img src=x onerror=alert(1)>\" onload='x' `` ``` | "
    "[a](http://evil) ![i](http://evil) <!-- --> --> ]]> $\\frac{$ {{ 7*7 }} {% raw %} & \\ ' ;=1+1"
)
FORMULAS = ("=cmd|'/c calc'!A0", "+1", "-1", "@SUM(1)", "=1", " =2", "'=3", "\uff1d4", "a;=5")
LINES = "first\nsecond\r\n---\nlicense: evil\n# heading\r\x85last\u2028"
ALL = f"=x {TERMINAL} {MARKUP}"
CLASSES = (
    "=1+1\x1b[31m\u202e[red]r <b onload=x>`|$\\frac{$ ;=1 :skull:",
    "-2\x1b]0;x\x07<script>alert(1)\x9b2J\u200b[a](http:x)\"' --- {{ 7*7 }}",
)
TAGS = {
    "html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "div", "table", "thead", "tbody", "tr",
    "th", "td", "a", "p", "img", "details", "summary", "code", "section", "span", "b", "figure", "figcaption",
    "br", "pre", "ul", "li", "footer",
}  # fmt: skip


def hostile_run(run, folder, class_names=CLASSES):
    """Copy a finished run and put hostile text wherever its files have text of their own.

    Args:
        run: the trained `Run`, of two classes; it stays as it is.
        folder: the new run's; its name is hostile too.
        class_names: two; a folder's become `printable` when it is read, and an export needs those.
    """
    shutil.copytree(run.folder, folder)
    (folder / "labels.txt").write_text("".join(f"{name}\n" for name in class_names))
    config = yaml.safe_load((folder / "config.yaml").read_text())
    told = config["run"]
    for key in ("command", "dataset", "device", "git_commit", "preset"):
        told[key] = f"{ALL}{LINES}"
    told["versions"] = {name: f"{ALL}{LINES}" for name in told["versions"]}
    told["choices"] = [f"{ALL}{LINES}"] * 2
    (folder / "config.yaml").write_text(f"# {ALL!a}\n" + yaml.safe_dump(config))
    metrics = json.loads((folder / "metrics.json").read_text())
    for key in ("dataset", "device", "backend"):
        metrics[key] = f"{ALL}{LINES}"
    _write_metrics(folder, metrics)
    rows = [{"file": text, "class": ALL, "problem": ALL, "detail": ALL} for text in FORMULAS]
    with (folder / "data_problems.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    (folder / "README.md").write_text(ALL)
    return load_run(folder)


def _write_metrics(folder, metrics):
    if "content_sha256" in metrics:  # who forges the files forges their checksums
        from kmixer.runs.consistency import content_checksums

        metrics["content_sha256"] = content_checksums(load_run(folder))
    (folder / "metrics.json").write_text(json.dumps(metrics))


def hostile_images(images, folder):
    """Copy an image folder of two classes, with hostile names of itself, its classes and its files.

    Args:
        images: the folder; its images stay.
        folder: the new one.
    """
    shutil.copytree(images, folder)
    for split in folder.iterdir():
        for place, name in zip(sorted(split.iterdir()), CLASSES, strict=True):
            place.rename(split / name)
    for number, path in enumerate(sorted(folder.rglob("*.png"))):
        name = (*FORMULAS, ALL, LINES)[number % (len(FORMULAS) + 2)].replace("/", "\u2215")
        path.rename(path.with_name(f"{name[:80]}{number}.png"))
    return folder


def unprintable(text):
    """Return the characters that a terminal would obey or not show; line ends are none."""
    return {
        character
        for line in re.sub(r"\x1b\[[0-9;]*m", "", text).split("\n")
        for character in line
        if printable(character) != character
    }


class _Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.strange = []

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs if name.startswith("on")]
        sources = [value for name, value in attrs if name in ("src", "href") and value]
        foreign = [value for value in sources if not value.startswith(("data:image/", "#"))]
        if tag not in TAGS or names or foreign:
            self.strange.append((tag, attrs))

    def handle_comment(self, data):
        self.strange.append(("comment", data))


def strange_html(text):
    """Return the tags of a page that are not the report's own."""
    page = _Page()
    page.feed(text)
    return page.strange


def strange_markdown(text):
    """Return what is neither text, table, heading nor code in a Markdown text, by its kind."""
    parser = MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough")
    tokens = [part for token in parser.parse(text) for part in (token, *(token.children or ()))]
    kinds = (
        "html",
        "link",
        "image",
        "em_",
        "strong",
        "list",
        "quote",
        "hr",
        "code_block",
        "s_open",
    )
    return [token for token in tokens if token.type.startswith(kinds)]


def dangerous_cells(path):
    """Return the cells of a CSV file that a spreadsheet would run, split at commas or semicolons."""
    text = Path(path).read_text()
    found = []
    for separator in ",;":
        for row in csv.reader(io.StringIO(text), delimiter=separator):
            found += [c for c in row if re.match(r"[\s\0]*[-=+@\uff0d\uff1d\uff0b\uff20]", c)]
    return [cell for cell in found if not re.fullmatch(r"-?[\d.e+-]+", cell)]
