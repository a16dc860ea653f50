"""Optuna draws the points and keeps the record, in a file or a database that many workers share.

Every worker tells every few seconds that its trials are alive. Whoever sees that a trial's worker
has been silent for LEASE_SECONDS takes the trial from it, and it is drawn again. By its own
clock: the clocks of the machines need not agree.
"""

import threading
import time
from collections import deque
from contextlib import suppress

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from . import record
from .optuna_draws import sampler, suggest
from .record import BEAT_SECONDS, LEASE_SECONDS, Outcome, Trial
from .storage import open_storage

WAIT = "wait"
TUNERS = ("tpe", "random", "grid", "hyperband")
OUTCOME, BEAT, RETRY_OF, LOST = "outcome", "beat", "retry_of", "lost"
SURPLUS = "surplus"  # two workers drew the last trial, or the same retry: the later one is none


class OptunaEngine:
    """Draws trials of an Optuna study.

    Args:
        space: the `Space`.
        tuner: one of `TUNERS`; hyperband is TPE whose poor trials are stopped early.
        objective: one of `record.OBJECTIVES`.
        seed: of the draws.
        epochs: of a trial.
        storage: where the study is; see `open_storage`.
        name: of the study.
        trials: how many are to be trained.
        alone: whether no other worker can have a trial that is begun: it is gone on with.
    """

    def __init__(self, space, tuner, objective, seed, epochs, storage, name, *, trials, alone):
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.space, self.tuner, self.objective = space, tuner, objective
        self.seed, self.most, self.alone = seed, trials, alone
        pruner = optuna.pruners.NopPruner()
        if tuner == "hyperband":
            pruner = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=epochs)
        self.study = optuna.create_study(
            storage=open_storage(storage), study_name=name, load_if_exists=True, pruner=pruner,
            direction="maximize" if record.OBJECTIVES[objective] else "minimize",
        )  # fmt: skip
        self._running, self._lock = {}, threading.Lock()
        self._seen, self._stop = {}, threading.Event()
        self.begun = deque(self._take_over() if alone else ())
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._keeper.start()

    def _take_over(self):
        for frozen in self._of_state(TrialState.RUNNING):
            values = frozen.user_attrs.get("values")
            if values is None:  # killed before it was drawn whole
                self._fail(frozen.number, {LOST: True})
                continue
            trial = Trial(frozen.number, values)
            self._running[trial.number] = optuna.trial.Trial(self.study, frozen._trial_id)
            yield trial

    def _of_state(self, *states):
        return self.study.get_trials(deepcopy=False, states=states)

    def ask(self):
        """Return the next `Trial`, `WAIT` while others could still fail, or None."""
        if self.begun:
            return self.begun.popleft()
        self._retry_the_lost()
        if not self._of_state(TrialState.WAITING):
            if len(self._counted()) >= self.most:
                return WAIT if self._of_state(TrialState.RUNNING) else None
            if self.tuner == "grid" and self._exhausted():
                return WAIT if self._of_state(TrialState.RUNNING) else None
        return self._draw()

    def _draw(self):
        self.study.sampler = self._sampler(len(self.study.get_trials(deepcopy=False)))
        with self._lock:
            drawn = self.study.ask()
            self._running[drawn.number] = drawn
        self.study.sampler = self._sampler(drawn.number)
        values = self.space.draw(lambda each: suggest(drawn, each))
        drawn.set_user_attr("values", values)
        if drawn.number not in self._counted():
            self._drop(drawn.number, SURPLUS)
            return WAIT
        return Trial(drawn.number, values)

    def _sampler(self, number):
        return sampler(self.tuner, self.space, self.seed, number)

    def _exhausted(self):
        return self._sampler(0).is_exhausted(self.study)

    def _counted(self):
        """Return the numbers of the trials that count: the first of each retry, `most` of them."""
        numbers, roots = [], set()
        for frozen in self.study.get_trials(deepcopy=False):
            root = frozen.user_attrs.get(RETRY_OF, frozen.number)
            if root not in roots and not _void(frozen) and frozen.state != TrialState.WAITING:
                roots.add(root)
                numbers.append(frozen.number)
        return numbers[: self.most]

    def _retry_the_lost(self):
        """Draw again what was taken from a silent worker; two who do so at once are told apart."""
        trials = self.study.get_trials(deepcopy=False)
        retried = {t.user_attrs.get(RETRY_OF) for t in trials if not _void(t)}
        for frozen in trials:
            root = frozen.user_attrs.get(RETRY_OF, frozen.number)
            if frozen.user_attrs.get(LOST) and frozen.params and root not in retried:
                self.study.enqueue_trial(frozen.params, user_attrs={RETRY_OF: root})
                retried.add(root)

    def report(self, trial, epoch, value):
        """Tell an epoch's value; return whether the trial is to be stopped."""
        drawn = self._running[trial.number]
        with suppress(UpdateFinishedTrialError):
            drawn.report(value, epoch)
            return drawn.should_prune()
        return True

    def tell(self, trial, outcome):
        """Record how a trial ended; one that was taken from this worker stays the other's."""
        drawn = self._running.pop(trial.number)
        states = {record.FINISHED: TrialState.COMPLETE, record.PRUNED: TrialState.PRUNED}
        state = states.get(outcome.state, TrialState.FAIL)
        self.study.sampler = optuna.samplers.RandomSampler()  # the grid's would stop `optimize`
        with suppress(UpdateFinishedTrialError, ValueError):
            drawn.set_user_attr(OUTCOME, outcome.as_dict())
            value = outcome.value if state == TrialState.COMPLETE else None
            self.study.tell(trial.number, value, state)

    def known(self):
        """Return all `Trial`s of all workers."""
        found = []
        for frozen in self.study.get_trials(deepcopy=False):
            values, outcome = (frozen.user_attrs.get(key) for key in ("values", OUTCOME))
            if values is None or frozen.user_attrs.get(LOST) or _surplus(outcome):
                continue
            found.append(Trial(frozen.number, values, None, outcome and Outcome(**outcome)))
        return found

    def _drop(self, number, state):
        self._running.pop(number, None)
        self._fail(number, {OUTCOME: Outcome(state).as_dict()})

    def _fail(self, number, attributes):
        """End a trial without a value; say whether this worker was the one to do so."""
        trial_id = self.study._storage.get_trial_id_from_study_id_trial_number(
            self.study._study_id, number
        )
        try:
            for key, value in attributes.items():
                self.study._storage.set_trial_user_attr(trial_id, key, value)
            return self.study._storage.set_trial_state_values(trial_id, TrialState.FAIL)
        except UpdateFinishedTrialError:
            return False

    def _keep(self):
        """Tell that this worker's trials are alive, and take those of silent workers."""
        beat = 0
        while not self._stop.wait(BEAT_SECONDS):
            beat += 1
            with suppress(Exception):  # a storage that is away for a moment; the next beat tells
                for drawn in list(self._running.values()):
                    with suppress(UpdateFinishedTrialError):
                        drawn.set_user_attr(BEAT, beat)
                self._take_from_the_silent()

    def _take_from_the_silent(self):
        now = time.monotonic()
        for frozen in self._of_state(TrialState.RUNNING):
            beat = frozen.user_attrs.get(BEAT)
            seen, since = self._seen.get(frozen.number, (None, None))
            if since is None or seen != beat:
                self._seen[frozen.number] = (beat, now)
            elif now - since > LEASE_SECONDS and frozen.number not in self._running:
                self._fail(frozen.number, {LOST: True})

    def release(self, trial):
        """Give up a trial that was stopped; without other workers it is gone on with later."""
        drawn = self._running.pop(trial.number, None)
        if drawn is not None and not self.alone:
            self._fail(trial.number, {LOST: True})

    def read(self, key):
        """Return what was written under a key, or None."""
        return self.study.user_attrs.get(key)

    def write(self, key, value):
        """Keep a JSON-able value under a key."""
        self.study.set_user_attr(key, value)

    def close(self):
        """Stop telling that the trials are alive."""
        self._stop.set()
        self._keeper.join(BEAT_SECONDS)


def _void(frozen):
    """Say whether a trial does not count: its worker fell silent, or it was never trained."""
    state = frozen.user_attrs.get(OUTCOME, {}).get("state", record.BEGUN)
    return frozen.user_attrs.get(LOST, False) or state not in record.COUNTED


def _surplus(outcome):
    return outcome is not None and outcome["state"] == SURPLUS
