"""Counters that Prometheus reads."""

import time
import traceback
from collections.abc import Awaitable, Callable

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class ServerMetrics:
    """Requests by address and status, their seconds, batch sizes, images in the queue."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.requests = Counter(
            "kmixer_requests", "Requests", ["route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "kmixer_request_seconds", "Seconds from a request to its answer", ["route"],
            registry=registry,
        )  # fmt: skip
        self.images = Counter(
            "kmixer_images", "Images that the model was asked about", registry=registry
        )
        self.batches = Histogram(
            "kmixer_batch_images", "Images answered together",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128), registry=registry,
        )  # fmt: skip
        self.waiting = Gauge("kmixer_waiting_images", "Images in the queue", registry=registry)

    def count_batch(self, images: int) -> None:
        """Count a batch of `images` images."""
        self.images.inc(images)
        self.batches.observe(images)

    async def count_request(
        self, request: Request, answer: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        """Answer, count and time a request; unknown addresses count as one route.

        It is the outermost handler: an unexpected error is printed and answered with status 500.
        """
        start = time.perf_counter()
        try:
            response = await answer(request)
        except Exception as error:
            traceback.print_exception(error)  # the whole for the operator, one line for the client
            response = JSONResponse({"error": f"{type(error).__name__}; see the server"}, 500)
        route = getattr(request.scope.get("route"), "path", "other")
        self.requests.labels(route, response.status_code).inc()
        self.seconds.labels(route).observe(time.perf_counter() - start)
        return response

    def text(self, waiting: int) -> str:
        """Return all metrics in Prometheus' text format.

        Args:
            waiting: images in the queue now.
        """
        self.waiting.set(waiting)
        return generate_latest(self.registry).decode()
