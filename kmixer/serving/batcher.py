"""Requests that wait are answered together."""

import queue
import threading
import time
from concurrent.futures import Future

import numpy as np

from ..errors import KmixerError

STOP = object()


class QueueFullError(KmixerError):
    """More images wait than the server has promised to hold."""


class Batcher:
    """One thread that owns a model and answers what waits, in batches.

    Args:
        predict: uint8 `(n, height, width, channels)` → probabilities `(n, classes)`.
        max_batch: images that are answered together.
        wait: seconds to wait for more after the first; 0 takes what is there.
        max_waiting: images that may wait.
        watch: called with the number of images of each batch.
    """

    def __init__(self, predict, max_batch=32, wait=0.0, max_waiting=256, watch=lambda images: None):
        self.predict, self.max_batch, self.wait = predict, max_batch, wait
        self.max_waiting, self.watch = max_waiting, watch
        self.waiting, self._lock, self._queue = 0, threading.Lock(), queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="kmixer-batcher", daemon=True)
        self._thread.start()

    def submit(self, images):
        """Put images into the queue; return a `Future` of their probabilities.

        Raises:
            QueueFullError: too many wait.
        """
        with self._lock:
            if self.waiting and self.waiting + len(images) > self.max_waiting:
                raise QueueFullError(f"{self.waiting} images wait already; try again later")
            self.waiting += len(images)
        future = Future()
        self._queue.put((images, future))
        return future

    def stop(self):
        """Answer what waits, then end the thread."""
        self._queue.put(STOP)
        self._thread.join()

    def _work(self):
        stopping = False
        while not stopping:
            first = self._queue.get()
            if first is STOP:
                return
            jobs, stopping = self._gather(first)
            self._answer(jobs)

    def _gather(self, first):
        """Return the first job and those that fit beside it, and whether to stop after them."""
        jobs, images, until = [first], len(first[0]), time.monotonic() + self.wait
        while images < self.max_batch:
            try:
                job = self._queue.get(timeout=max(until - time.monotonic(), 0) or 1e-9)
            except queue.Empty:
                break
            if job is STOP:
                return jobs, True
            jobs.append(job)
            images += len(job[0])
        return jobs, False

    def _answer(self, jobs):
        """Answer jobs together, but for those that nobody waits for any more."""
        awaited = [job for job in jobs if job[1].set_running_or_notify_cancel()]
        try:
            if awaited:
                said = self._ask(np.concatenate([images for images, _ in awaited]))
                ends = np.cumsum([len(images) for images, _ in awaited])
                for (_, future), answer in zip(awaited, np.split(said, ends[:-1]), strict=True):
                    future.set_result(answer)
        except Exception as error:
            for _, future in awaited:
                if not future.done():
                    future.set_exception(error)
        finally:
            with self._lock:
                self.waiting -= sum(len(images) for images, _ in jobs)

    def _ask(self, images):
        said = []
        for at in range(0, len(images), self.max_batch):
            self.watch(len(images[at : at + self.max_batch]))
            said.append(self.predict(images[at : at + self.max_batch]))
        return np.concatenate(said)
