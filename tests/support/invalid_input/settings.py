"""Malformed settings: files given by --config, and texts given by --set, --grid and --search."""

from invalid_input.case import Case, written

LAUGHS = (
    "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(
        f"{after}: &{after} [{','.join([f'*{name}'] * 9)}]\n"
        for name, after in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + "model: *i\n"
)
FILES = {
    "no utf-8": b"data: \xff\xfe\n",
    "nul bytes": b"\0" * 100,
    "a list": "- model\n- data\n",
    "a word": "model\n",
    "a section that is a list": "model: [1, 2]\n",
    "unclosed": "model: {blocks: 2\n",
    "tabs": "model:\n\tblocks: 2\n",
    "python object": "model: !!python/object/apply:os.system ['touch canary']\n",
    "python name": "model: !!python/name:os.system\n",
    "own tag": "model: !mixer {blocks: 2}\n",
    "unknown section": "modle: {blocks: 2}\n",
    "unknown key": "model: {blokcs: 2}\n",
    "keys that are no text": "model: {1: 2}\n",
    "a key that is a list": "? [a, b]\n: 1\n",
    "two documents": "model: {}\n---\nmodel: {}\n",
    "a date": "training: {epochs: 2026-11-22}\n",
    "an impossible date": "training: {epochs: 2026-99-99}\n",
    "infinite": "optimizer: {learning_rate: .inf}\n",
    "not a number": "optimizer: {learning_rate: .nan}\n",
    "text for a number": "model: {blocks: two}\n",
    "an enormous number": f"model: {{blocks: {'9' * 5000}}}\n",
    "nested deeply": "model: " + "[" * 5000 + "]" * 5000 + "\n",
    "nested deeply, mappings": "".join(f"{' ' * depth}a:\n" for depth in range(1500)),
    "a billion laughs": LAUGHS,
    "an alias to itself": "model: &a [*a]\n",
    "a harmless alias": "data: &a {}\nmodel: *a\n",
    "a key twice": "model: {blocks: 2, blocks: 3}\n",
    "a section twice": "model: {blocks: 2}\nmodel: {hidden_dim: 8}\n",
    "a missing alias": "model: *a\n",
    "half a run": "run: 7\nmodel: 7\n",
    "a module": "model: {name: os.system}\n",
}
NAMED = ("settings-7.yaml", "model", "modle", "training", "optimizer.learning_rate")
COMMANDS = {
    "train": ("train", "{images}", "--batch-size", "16"),
    "sweep": ("sweep", "{images}", "--grid", "training.seed=1,2"),
    "tune": ("tune", "{images}", "--search", "training.seed=1,2"),
}
ASSIGNMENTS = (
    "", "=", "=1", "model", "model.blocks=", "model.blocks=two", "model.blocks=[", "model=1",
    "model.blocks.more=1", "..=1", "model..blocks=1", "nonsense=1", "model.blocks=!!python/name:os.system",
    "optimizer.learning_rate=1e999", "data.mean=[a]", "data.mean=[nan]", "data.std=[0]", "data.std=[-1]",
    "data.classes=[above,above]", "data.classes=[nobody]", "data.classes=above", "data.validation_size=-1",
    "data.validation_size=1.0", "data.split_seed=-1", "augment.fill_mode=nonsense", "training.seed=2147483648",
    "schedule.warmup_epochs=-1", "finetune.run=", "training.early_stopping.patience=0", "model.hidden_dim=" + "9" * 30,
)  # fmt: skip
GRIDS = (
    "", "model.blocks", "model.blocks=", "=1,2", "model.blocks=1,two", "nonsense=1,2", "model.blocks=[1",
    "model.blocks=2026-01-01", "model.blocks=!!python/name:os.system", "model.blocks=0,1", "model=1,2",
    "model.blocks=" + "[" * 3000,
)  # fmt: skip
SEARCHES = (
    "", "model.blocks", "model.blocks=", "model.blocks=8..1", "model.blocks=1..8:0", "model.blocks=a..b",
    "model.blocks=1..8:log:log", "nonsense.key=1,2", "model.blocks=0..3", "optimizer.learning_rate=0..1:log",
    "model.blocks=1..2..3", "model.blocks=nan..inf",
)  # fmt: skip


def cases():
    """Yield every file for every command with --config, and every text for its option."""
    for command, words in COMMANDS.items():
        for kind, content in FILES.items():
            yield Case(f"{command} --config, {kind}", (*words, "--config", "settings-7.yaml"), NAMED,
                       written("settings-7.yaml", content))  # fmt: skip
        for path, kind in (
            (".", "a folder"),
            ("nowhere.yaml", "missing"),
            ("a" * 5000, "a long name"),
        ):
            yield Case(f"{command} --config, {kind}", (*words, "--config", path), (path[:100],))
    for text in ASSIGNMENTS:
        yield Case(
            f"train --set {text:.40}",
            ("train", "{images}", "--batch-size", "16", "--set", text),
            named(text),
        )
    for text in ASSIGNMENTS[:12]:
        yield Case(
            f"data show --set {text:.40}", ("data", "show", "{images}", "--set", text), named(text)
        )
        yield Case(
            f"benchmark --set {text:.40}", ("benchmark", "{images}", "--set", text), named(text)
        )
    for text in GRIDS:
        yield Case(f"sweep --grid {text:.40}", ("sweep", "{images}", "--grid", text), named(text))
    for text in SEARCHES:
        yield Case(f"tune --search {text:.40}", ("tune", "{images}", "--search", text), named(text))


def named(text):
    """Return what the error may name: the setting's path, or the text as it was given."""
    path = text.partition("=")[0]
    return (path, path.rpartition(".")[0]) if path.strip(".") else ("received",)
