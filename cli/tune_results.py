"""What `kmixer tune` prints at the end."""

from .terminal import percent

SHOWN = 10  # trials in the closing table


def show_results(terminal, search, retrain):
    """Write the search's files, read the test set of the best, and print what was found.

    Args:
        terminal: the `Terminal`.
        search: the `Search`.
        retrain: whether the best is trained on train + validation first.

    Raises:
        RunError: no trial finished.
    """
    from kmixer.tuning import analysis, results
    from kmixer.tuning.search import check_finished
    from kmixer.tuning.trials import counted

    plan, trials = search.plan, search.engine.known()
    results.write_table(search)
    best = check_finished(trials, plan.objective)
    _table(terminal, best, plan.objective)
    states = [trial.state for trial in trials]
    others = {state: states.count(state) for state in dict.fromkeys(states) if state != "finished"}
    told = "".join(f", {count} {state}" for state, count in others.items())
    terminal.say(f"{len(best)} trials finished{told}")
    shares = analysis.importance(best, search.space)
    files = ["trials.csv", *results.write_results(search, shares)]
    test = _retrain(terminal, search, best[0]) if retrain else results.read_test(search, best[0])
    if test:
        terminal.say(
            f"best: trial {best[0].number}, {plan.objective} {best[0].outcome.value:.4f};"
            f" test accuracy {percent(test['accuracy'])}"
        )
    else:
        terminal.say(f"best: trial {best[0].number}, whose weights lie on {best[0].outcome.host}")
    for path, share in list(shares.items())[:5]:
        terminal.say(f"  {percent(share):>8} of the importance: {path}")
    terminal.say(f"in {plan.folder}: {', '.join(files)}, trials/")
    terminal.say(f"again: kmixer train {plan.settings.data.name} --config {plan.folder}/best.yaml")
    terminal.result(
        {"folder": str(plan.folder), "best": _summary(best[0]), "test": test,
         "trials": [_summary(trial) for trial in counted(trials)]}
    )  # fmt: skip


def _summary(trial):
    outcome = trial.outcome.as_dict() if trial.outcome else {}
    return {"trial": trial.number, "state": trial.state, "values": trial.values} | outcome


def _table(terminal, best, objective):
    from .tune_progress import describe

    columns = [
        "settings",
        "trial",
        objective,
        "epoch",
        "parameters",
        "MFLOPs",
        "examples/s",
        "seconds",
    ]
    rows = []
    for trial in best[:SHOWN]:
        metrics = trial.outcome.metrics
        rows.append([
            describe(trial.values), trial.number, f"{trial.outcome.value:.4f}",
            f"{trial.outcome.best_epoch}/{metrics['epochs']}",
            f"{metrics['trainable_parameters']:,}", f"{metrics['flops'] / 1e6:.2f}",
            f"{metrics['examples_per_second']:,.0f}", f"{metrics['seconds']:,.0f}",
        ])  # fmt: skip
    terminal.table(None, columns, rows)


def _retrain(terminal, search, trial):
    """Train the best settings on train + validation and return the test figures of that run."""
    from kmixer.errors import RunError
    from kmixer.runs.run import load_run
    from kmixer.tuning.sweep import clear, state

    from .subprocesses import run_kmixer

    plan = search.plan
    folder = plan.folder / f"best-{trial.number:03}"
    clear(folder)
    words = ["resume", str(folder)]
    if state(folder) == "new":
        words = ["train", plan.settings.data.name, "--config", str(plan.folder / "best.yaml"),
                 "--set", "data.train_on_validation=true", "--out", str(folder)]  # fmt: skip
    if state(folder) != "finished":
        quiet = ["--quiet"] if terminal.quiet or terminal.as_json else []
        environment = search.shares[0].environ()
        if code := run_kmixer([*words, *quiet], plan.folder, environment):
            raise RunError(f"{folder}: the best trial's training failed (exit code {code})")
    return load_run(folder).metrics["last"]["test"]
