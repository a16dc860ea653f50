"""Counters that Prometheus reads."""

import time
import traceback

from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Monitor:
    """Requests by address and status, their seconds, batch sizes, images that wait."""

    def __init__(self):
        self.registry = CollectorRegistry()
        named = {"registry": self.registry}
        self.requests = Counter("kmixer_requests", "Requests", ["route", "status"], **named)
        self.seconds = Histogram(
            "kmixer_request_seconds", "Seconds from a request to its answer", ["route"], **named
        )
        self.images = Counter("kmixer_images", "Images that the model was asked about", **named)
        self.batches = Histogram(
            "kmixer_batch_images", "Images answered together",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128), **named,
        )  # fmt: skip
        self.waiting = Gauge("kmixer_waiting_images", "Images in the queue", **named)

    def batch(self, images):
        """Count a batch of so many images."""
        self.images.inc(images)
        self.batches.observe(images)

    async def watch(self, request, answer):
        """Count and time a request; what is no address of ours counts as one route."""
        began = time.perf_counter()
        try:
            response = await answer(request)
        except Exception as error:
            traceback.print_exception(error)  # ours to mend; the client gets one line
            response = JSONResponse({"error": f"{type(error).__name__}; see the server"}, 500)
        route = getattr(request.scope.get("route"), "path", "other")
        self.requests.labels(route, response.status_code).inc()
        self.seconds.labels(route).observe(time.perf_counter() - began)
        return response

    def text(self, waiting):
        """Return the figures in Prometheus' text form."""
        self.waiting.set(waiting)
        return generate_latest(self.registry).decode()
