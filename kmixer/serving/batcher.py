"""Answer waiting requests together, in batches."""

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from ..errors import KmixerError
from ..exporting.runtimes import Predict


class QueueFullError(KmixerError):
    """More images wait than the server holds."""


@dataclass(frozen=True)
class _Job:
    """Images `(n, height, width, channels)` and the future of their probabilities."""

    images: np.ndarray
    future: "Future[np.ndarray]" = field(default_factory=Future)


class Batcher:
    """A thread that owns a model and answers waiting requests in batches.

    Args:
        predict: uint8 `(n, height, width, channels)` → probabilities `(n, classes)`.
        max_batch: images that are answered together.
        wait: seconds to wait for more images after the first; 0: take those that are there.
        max_waiting: images that may wait.
        on_batch: called with the number of images of each batch.
    """

    def __init__(
        self,
        predict: Predict,
        max_batch: int = 32,
        wait: float = 0.0,
        max_waiting: int = 256,
        on_batch: Callable[[int], object] = lambda images: None,
    ) -> None:
        self.predict, self.max_batch, self.wait = predict, max_batch, wait
        self.max_waiting, self.on_batch = max_waiting, on_batch
        self.waiting, self._lock = 0, threading.Lock()
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()  # None: stop
        self._thread = threading.Thread(target=self._work, name="kmixer-batcher", daemon=True)
        self._thread.start()

    def submit(self, images: np.ndarray) -> "Future[np.ndarray]":
        """Put images into the queue; return the future of their probabilities.

        Raises:
            QueueFullError: too many wait.
        """
        with self._lock:
            if self.waiting and self.waiting + len(images) > self.max_waiting:
                raise QueueFullError(f"{self.waiting} images wait already; try again later")
            self.waiting += len(images)
        job = _Job(images)
        self._queue.put(job)
        return job.future

    def stop(self) -> None:
        """Answer the waiting requests, then end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        stopping = False
        while not stopping:
            first = self._queue.get()
            if first is None:
                return
            jobs, stopping = self._gather(first)
            self._answer(jobs)

    def _gather(self, first: _Job) -> tuple[list[_Job], bool]:
        """Return the first job with those that fit into its batch, and whether to stop after it."""
        jobs, images, end = [first], len(first.images), time.monotonic() + self.wait
        while images < self.max_batch:
            try:
                job = self._queue.get(timeout=max(end - time.monotonic(), 0) or 1e-9)
            except queue.Empty:
                break
            if job is None:
                return jobs, True
            jobs.append(job)
            images += len(job.images)
        return jobs, False

    def _answer(self, jobs: list[_Job]) -> None:
        """Answer jobs together, except those that were cancelled."""
        active = [job for job in jobs if job.future.set_running_or_notify_cancel()]
        try:
            if active:
                probabilities = self._predict(np.concatenate([job.images for job in active]))
                ends = np.cumsum([len(job.images) for job in active])
                for job, answer in zip(active, np.split(probabilities, ends[:-1]), strict=True):
                    job.future.set_result(answer)
        except Exception as error:
            for job in active:
                if not job.future.done():
                    job.future.set_exception(error)
        finally:
            with self._lock:
                self.waiting -= sum(len(job.images) for job in jobs)

    def _predict(self, images: np.ndarray) -> np.ndarray:
        probabilities = []
        for start in range(0, len(images), self.max_batch):
            batch = images[start : start + self.max_batch]
            self.on_batch(len(batch))
            probabilities.append(self.predict(batch))
        return np.concatenate(probabilities)
