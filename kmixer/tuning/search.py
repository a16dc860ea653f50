"""Draw, train, record; until there are enough trials, the time is up, or a signal comes."""

import math
from contextlib import nullcontext

import keras

from ..config import loading
from ..data import load_splits
from ..errors import InterruptedRunError, RunError, SettingsError, describe
from ..files import atomic
from ..files.lock import only_one
from ..runs.signals import stop_requests
from ..training import checkpoint, distribution
from ..training.resolve import resolve
from ..training.train import check_model
from .engines.journal import FILE, Journal
from .plan import check_same
from .trials import ranked
from .workers.loop import Loop

HEAVY = ("model.keras", checkpoint.NAME, checkpoint.PREVIOUS)
PATIENCE_SECONDS = 15  # trials of a search that was killed end within a step
DEFINITION = "search"


class Search:
    """A search that was opened, or gone on with.

    Args:
        plan: the `Plan`.
        shares: the `Share` of the machine that each worker gets.

    Raises:
        KmixerError: the space or the data do not allow it, it was begun otherwise, or the storage
            cannot be reached.
    """

    def __init__(self, plan, shares):
        self.plan, self.shares, self.space = plan, shares, plan.space()
        distribution.check_backend(plan.settings)
        self.dataset = load_splits(plan.settings.data)
        self.settings = self._with_statistics(plan.settings)
        atomic.make_folder(plan.folder)
        self.engine = open_engine(plan, self.space)
        begun, now = self.engine.read(DEFINITION), plan.definition()
        if begun is not None:
            check_same(begun, now, plan)
        if begun != now:
            self.engine.write(DEFINITION, now)

    def _with_statistics(self, settings):
        """Measure mean and standard deviation of the images once for all trials."""
        if any(path.startswith("data.") for path in self.plan.section):
            return settings
        data = resolve(settings, self.dataset).data
        known = settings.data.model_copy(update={"mean": data.mean, "std": data.std})
        return settings.model_copy(update={"data": known})

    def trial_settings(self, trial):
        """Return the `Settings` that a trial is trained with.

        With fewer epochs than the search's, a rung of Hyperband, the warmup is as much shorter.
        """
        settings = self.space.settings(self.settings, trial.values)
        if not trial.epochs:
            return settings
        layer = {"training": {"epochs": trial.epochs}}
        if settings.schedule.name == "cosine":
            share = trial.epochs / settings.training.epochs
            layer["schedule"] = {"warmup_epochs": settings.schedule.warmup_epochs * share}
        return loading.build_settings(settings.model_dump(mode="json"), layer)

    def data_of(self, settings):
        """Return the `Dataset` of settings, loaded anew where they name other images."""
        known = {key: None for key in ("mean", "std", "batch_size", "train_on_validation")}
        if settings.data.model_copy(update=known) == self.settings.data.model_copy(update=known):
            return self.dataset
        return load_splits(settings.data)

    def problem(self, trial):
        """Return why a trial cannot be trained, or None."""
        try:
            parameters = self._parameters(self.trial_settings(trial))
        except Exception as error:  # whatever it is, it is this point's
            return describe(error)
        most = self.plan.max_params
        if most and parameters > most:
            return f"{parameters:,} parameters, more than the {most:,} of --max-params"
        return None

    def _parameters(self, settings):
        """Build a model without weights, as large as it may be, and count what it would train."""
        dataset = self.data_of(settings)
        try:
            with keras.StatelessScope(initialize_variables=False):
                model = check_model(resolve(settings, dataset), dataset)
                return sum(math.prod(weight.shape) for weight in model.trainable_weights)
        finally:
            keras.backend.clear_session()
            if keras.backend.backend() == "jax":  # it keeps what it traced, of every shape
                import jax

                jax.clear_caches()

    def run(self, watch, lock=None):
        """Train trials until the search is over.

        Args:
            watch: told of `begun(trial)`, `epoch(trial, message)` and `ended(trial)`.
            lock: a file descriptor that the trials are to hold.

        Raises:
            SettingsError: no point of the space can be trained.
            InterruptedRunError: a signal came; the same command goes on.
        """
        with stop_requests() as request:
            Loop(self, watch, request, lock).run()
        if request.signal is not None:
            raise InterruptedRunError(
                f"interrupted; the same command goes on with {self.plan.folder}", request.signal
            )

    def tidy(self):
        """Keep the weights of the best trials alone, and what those that run need."""
        trials = self.engine.known()
        best = ranked(trials, self.plan.objective)[: self.plan.keep]
        open_ = [trial for trial in trials if trial.outcome is None]
        kept = {each.folder(self.plan.folder) for each in [*best, *open_]}
        for folder in (self.plan.folder / "trials").glob("trial-*"):
            finished = folder in kept and (folder / "metrics.json").exists()
            for name in HEAVY if folder not in kept else HEAVY[1:] if finished else ():
                (folder / name).unlink(missing_ok=True)


def open_engine(plan, space):
    """Open the engine that a plan names.

    Raises:
        SettingsError: it is not installed, or its storage cannot be reached.
    """
    epochs = plan.settings.training.epochs
    common = (space, plan.chosen_tuner, plan.objective, plan.seed, epochs)
    if plan.engine == "optuna":
        try:
            from .engines.optuna_engine import OptunaEngine
        except ImportError:
            raise SettingsError(
                "--engine optuna: not installed; pip install 'kmixer[tune]'"
            ) from None
        storage = plan.storage or plan.folder / "optuna.jsonl"
        return OptunaEngine(*common, storage, plan.folder.name, trials=plan.most, alone=plan.alone)
    from .engines.keras_tuner_engine import KerasTunerEngine, check_roles

    if plan.role:
        check_roles()
    journal = Journal(plan.folder / FILE)
    return KerasTunerEngine(*common, journal, plan.folder, trials=plan.most, role=plan.role)


def run(plan, shares, watch):
    """Open a search, run it to its end, and return it.

    Args:
        plan: the `Plan`.
        shares: the `Share` of the machine that each worker gets.
        watch: told of `known(trials)` at first, then as in `Search.run`.

    Raises:
        KmixerError: see `Search` and `Search.run`; another search works in the folder.
    """
    with only_one(plan.folder, PATIENCE_SECONDS) if plan.alone else nullcontext() as lock:
        search = Search(plan, shares)
        try:
            watch.known(search.engine.known())
            if plan.role == "chief":
                from .engines.keras_tuner_engine import serve_chief

                serve_chief(search.engine)
            else:
                search.run(watch, lock)
        finally:
            search.engine.close()
    return search


def check_finished(trials, objective):
    """Return the finished trials, best first.

    Raises:
        RunError: there is none; the reason of the last one that failed is told.
    """
    best = ranked(trials, objective)
    if not best:
        reasons = [t.outcome.reason for t in trials if t.outcome and t.outcome.reason]
        raise RunError(f"no trial finished{': ' + reasons[-1] if reasons else ''}")
    return best
