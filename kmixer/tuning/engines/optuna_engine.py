"""Optuna draws the points and keeps the record, in a file or a database that many workers share.

Every worker tells every few seconds that its trials are alive. Whoever sees that a trial's worker
has been silent for LEASE_SECONDS takes the trial from it, and it is drawn again. By its own
clock: the clocks of the machines need not agree.
"""

import json
import threading
import time
from collections import deque
from contextlib import suppress

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from ..trials import (
    BEAT_SECONDS,
    BEGUN,
    COUNTED,
    FINISHED,
    LEASE_SECONDS,
    OBJECTIVES,
    PRUNED,
    WAIT,
    Outcome,
    Trial,
)
from .optuna_sampler import Fixed, sampler, suggest
from .optuna_storage import open_storage

OUTCOME, VALUES, BEAT, RETRY_OF, LOST = "outcome", "values", "beat", "retry_of", "lost"
SURPLUS = "surplus"  # two workers drew the last trial, or the same retry: the later one is none


class OptunaEngine:
    """Draws trials of an Optuna study.

    Args:
        space: the `Space`.
        tuner: `tpe`, `random`, `grid`, or `hyperband`: TPE whose poor trials are stopped early.
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
        self._grid = [*space.grid()] if tuner == "grid" else None
        pruner = optuna.pruners.NopPruner()
        if tuner == "hyperband":
            pruner = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=epochs)
        self.study = optuna.create_study(
            storage=open_storage(storage), study_name=name, load_if_exists=True, pruner=pruner,
            direction="maximize" if OBJECTIVES[objective] else "minimize",
        )  # fmt: skip
        self._running, self._seen = {}, {}
        self.begun = deque(self._take_over() if alone else ())
        self._stop = threading.Event()
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._keeper.start()

    def _take_over(self):
        for frozen in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            values = frozen.user_attrs.get(VALUES)
            if values is None:  # killed before it was drawn whole
                self._fail(frozen, {LOST: True})
                continue
            self._running[frozen.number] = optuna.trial.Trial(self.study, frozen._trial_id)
            yield Trial(frozen.number, values)

    def _trials(self):
        """Return the study's trials but for those that were lost or are surplus."""
        trials = self.study.get_trials(deepcopy=False)
        return [t for t in trials if not (t.user_attrs.get(LOST) or _state(t) == SURPLUS)]

    def ask(self):
        """Return the next `Trial`, `WAIT` while others could still fail, or None."""
        if self.begun:
            return self.begun.popleft()
        fixed, root = self._lost_values()
        if fixed is None:
            if len(self._counted()) >= self.most:
                return self._wait_or_end()
            if self._grid is not None:
                fixed = self._free_point()
                if fixed is None:
                    return self._wait_or_end()
        return self._draw(fixed, root)

    def _wait_or_end(self):
        return WAIT if any(t.state == TrialState.RUNNING for t in self._trials()) else None

    def _draw(self, fixed, root):
        self.study.sampler = optuna.samplers.RandomSampler(seed=0)
        drawn = self.study.ask()
        self._running[drawn.number] = drawn
        if root is not None:
            drawn.set_user_attr(RETRY_OF, root)
        own = sampler(self.tuner, self.seed, self._rank(drawn.number))
        self.study.sampler = own if fixed is None else Fixed(self.space, fixed)
        values = self.space.draw(lambda each: suggest(drawn, each))
        drawn.set_user_attr(VALUES, values)
        if drawn.number not in self._counted():
            del self._running[drawn.number]
            self._fail(drawn, {OUTCOME: Outcome(SURPLUS).as_dict()})
            return WAIT
        return Trial(drawn.number, values)

    def _rank(self, number):
        """Return how many trials were drawn before one, which is what its draws depend on.

        A retry draws nothing. What was killed before it was drawn whole does not count either, but
        where others work they may have counted it: there it stays.
        """
        before = [t.user_attrs for t in self.study.get_trials(deepcopy=False) if t.number < number]
        void = [attrs for attrs in before if RETRY_OF in attrs or self._never_drawn(attrs)]
        return len(before) - len(void)

    def _never_drawn(self, attrs):
        return self.alone and attrs.get(LOST) and VALUES not in attrs

    def _free_point(self):
        """Return the first point of the grid that no trial has, or None."""
        taken = {_key(t.user_attrs[VALUES]) for t in self._trials() if VALUES in t.user_attrs}
        return next((point for point in self._grid if _key(point) not in taken), None)

    def _counted(self):
        """Return the numbers of the trials that count: the first of each point, `most` of them."""
        numbers, roots = [], set()
        for frozen in self._trials():
            attrs = frozen.user_attrs
            root = attrs.get(RETRY_OF, frozen.number)
            if self._grid is not None and VALUES in attrs:
                root = _key(attrs[VALUES])
            if root not in roots and _state(frozen) in COUNTED:
                roots.add(root)
                numbers.append(frozen.number)
        return numbers[: self.most]

    def _lost_values(self):
        """Return the values, and the first number, of a trial that was lost and not drawn again."""
        retried = {t.user_attrs.get(RETRY_OF) for t in self._trials()}
        for frozen in self.study.get_trials(deepcopy=False):
            attrs = frozen.user_attrs
            root = attrs.get(RETRY_OF, frozen.number)
            if attrs.get(LOST) and VALUES in attrs and root not in retried:
                return attrs[VALUES], root
        return None, None

    def report(self, trial, epoch, value):
        """Tell an epoch's value; return whether the trial is to be stopped."""
        drawn = self._running[trial.number]
        try:
            drawn.report(value, epoch)
            return drawn.should_prune()
        except UpdateFinishedTrialError:  # it was taken from this worker
            return True

    def tell(self, trial, outcome):
        """Record how a trial ended; one that was taken from this worker stays the other's."""
        drawn = self._running.pop(trial.number)
        states = {FINISHED: TrialState.COMPLETE, PRUNED: TrialState.PRUNED}
        state = states.get(outcome.state, TrialState.FAIL)
        with suppress(UpdateFinishedTrialError, ValueError):
            drawn.set_user_attr(OUTCOME, outcome.as_dict())
            value = outcome.value if state == TrialState.COMPLETE else None
            self.study.tell(trial.number, value, state)

    def known(self):
        """Return all `Trial`s of all workers."""
        found = []
        for frozen in self._trials():
            values, outcome = (frozen.user_attrs.get(key) for key in (VALUES, OUTCOME))
            if values is not None:
                found.append(Trial(frozen.number, values, None, outcome and Outcome(**outcome)))
        return found

    def _fail(self, trial, attributes):
        """End a trial without a value, unless it has been ended by now."""
        storage, trial_id = self.study._storage, trial._trial_id
        with suppress(UpdateFinishedTrialError):
            for key, value in attributes.items():
                storage.set_trial_user_attr(trial_id, key, value)
            storage.set_trial_state_values(trial_id, TrialState.FAIL)

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
        for frozen in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            beat = frozen.user_attrs.get(BEAT)
            seen, since = self._seen.get(frozen.number, (None, None))
            if since is None or seen != beat:
                self._seen[frozen.number] = (beat, now)
            elif now - since > LEASE_SECONDS and frozen.number not in self._running:
                self._fail(frozen, {LOST: True})

    def release(self, trial):
        """Give up a trial that was stopped; without other workers it is gone on with later."""
        drawn = self._running.pop(trial.number, None)
        if drawn is not None and not self.alone:
            self._fail(drawn, {LOST: True})

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


def _state(frozen):
    return frozen.user_attrs.get(OUTCOME, {}).get("state", BEGUN)


def _key(values):
    return json.dumps(values, sort_keys=True)
