"""docs/adr/README.md, the list of the decisions."""


def adr_index(folder):
    """Return the page: each decision's number and title, which is its page's first line."""
    lines = [
        "# Decisions",
        "",
        "One page each: context, decision, consequences. Written by `python docs/generate`.",
        "",
    ]
    for path in sorted(folder.glob("[0-9]*.md")):
        number, _, title = (
            path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ").partition(". ")
        )
        lines.append(f"{number}. [{title}]({path.name})")
    return "\n".join(lines) + "\n"
