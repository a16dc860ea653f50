"""The closing output of `kmixer tune`."""

from typing import TYPE_CHECKING, Any

from .terminal import Terminal, percent

if TYPE_CHECKING:
    from kmixer.tuning.search import Search
    from kmixer.tuning.trials import Trial

MOST_ROWS = 10  # trials in the closing table
COLUMNS = ("settings", "trial", "{objective}", "epoch", "parameters", "MFLOPs", "examples/s",
           "seconds")  # fmt: skip


def show_results(terminal: Terminal, search: "Search", retrain: bool) -> None:
    """Write the search's files, read the test set of the best, and print the results.

    Args:
        terminal: the `Terminal`.
        search: the `Search`.
        retrain: whether the best is trained on train + validation first.

    Raises:
        RunError: no trial finished.
    """
    from kmixer.tuning import analysis, results
    from kmixer.tuning.engines.engine import dashboard_command
    from kmixer.tuning.search import finished_trials
    from kmixer.tuning.trials import counted

    plan, trials = search.plan, search.engine.all_trials()
    results.write_table(search)
    finished = finished_trials(trials, plan.objective)
    best = finished[0]
    _show_table(terminal, finished, plan.objective)
    terminal.say(_count_states(trials))
    importance = analysis.importance(finished, search.space)
    files = ["trials.csv", *results.write_results(search, importance)]
    test = _retrain(terminal, search, best) if retrain else results.read_test(search, best)
    terminal.say(_describe_best(best, plan.objective, test))
    for path, part in list(importance.items())[:5]:
        terminal.say(f"  {percent(part):>8} of the importance: {path}")
    terminal.say(f"in {plan.folder}: {', '.join(files)}, trials/")
    if plan.engine == "optuna":
        terminal.say(f"its dashboard: {dashboard_command(plan)}  (pip install optuna-dashboard)")
    terminal.say(f"again: kmixer train {plan.settings.data.name} --config {plan.folder}/best.yaml")
    terminal.result(
        {"folder": str(plan.folder), "best": _summary(best), "test": test,
         "trials": [_summary(trial) for trial in counted(trials)]}
    )  # fmt: skip


def _count_states(trials: list["Trial"]) -> str:
    states = [trial.state for trial in trials]
    counts = [f"{states.count('finished')} trials finished"]
    others = [state for state in dict.fromkeys(states) if state != "finished"]
    return ", ".join(counts + [f"{states.count(state)} {state}" for state in others])


def _describe_best(best: "Trial", objective: str, test: dict[str, Any] | None) -> str:
    from .tune_progress import shown_score

    if test is None:
        host = best.outcome.host if best.outcome else None
        return f"best: trial {best.number}, whose weights lie on {host}"
    return (
        f"best: trial {best.number}, {objective} {shown_score(best, objective)};"
        f" test accuracy {percent(test['accuracy'])}"
    )


def _summary(trial: "Trial") -> dict[str, Any]:
    outcome = trial.outcome.as_dict() if trial.outcome else {}
    return {"trial": trial.number, "state": trial.state, "values": trial.values} | outcome


def _show_table(terminal: Terminal, finished: list["Trial"], objective: str) -> None:
    columns = [column.format(objective=objective) for column in COLUMNS]
    terminal.table(None, columns, [_row(trial, objective) for trial in finished[:MOST_ROWS]])


def _row(trial: "Trial", objective: str) -> list[Any]:
    from .tune_progress import describe, shown_score

    metrics = trial.metrics
    best_epoch = trial.outcome.best_epoch if trial.outcome else None
    return [
        describe(trial.values), trial.number, shown_score(trial, objective),
        f"{best_epoch}/{metrics['epochs']}", f"{metrics['trainable_parameters']:,}",
        f"{metrics['flops'] / 1e6:.2f}", f"{metrics['examples_per_second']:,.0f}",
        f"{metrics['seconds']:,.0f}",
    ]  # fmt: skip


def _retrain(terminal: Terminal, search: "Search", trial: "Trial") -> dict[str, Any]:
    """Train the best settings on train + validation and return the test metrics of that run."""
    from kmixer.errors import RunError
    from kmixer.runs.run import load_run, run_state
    from kmixer.tuning.sweep import remove_unstarted

    from .subprocesses import run_kmixer

    plan = search.plan
    folder = plan.folder / f"best-{trial.number:03}"
    remove_unstarted(folder)
    words = ["resume", str(folder)]
    if run_state(folder) == "new":
        words = ["train", str(plan.settings.data.name), "--config", str(plan.folder / "best.yaml"),
                 "--set", "data.train_on_validation=true", "--out", str(folder)]  # fmt: skip
    if run_state(folder) != "finished":
        quiet = ["--quiet"] if terminal.quiet or terminal.as_json else []
        environment = search.resources[0].environ()
        if code := run_kmixer([*words, *quiet], plan.folder, environment):
            raise RunError(f"{folder}: the best trial's training failed (exit code {code})")
    return load_run(folder).metrics["last"]["test"]
