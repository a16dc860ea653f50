"""Counters that Prometheus reads."""

import time

from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .logs import FewLines

CLIENT_LEFT = 499  # nginx's number for a request whose client did not wait, or sent too slowly


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

    def count_request(self, scope: Scope, status: int, seconds: float) -> None:
        """Count and time a request; unknown addresses count as one route."""
        route = getattr(scope.get("route"), "path", "other")
        self.requests.labels(route, status).inc()
        self.seconds.labels(route).observe(seconds)

    def text(self, waiting: int) -> str:
        """Return all metrics in Prometheus' text format.

        Args:
            waiting: images in the queue now.
        """
        self.waiting.set(waiting)
        return generate_latest(self.registry).decode()


class CountRequests:
    """Counts what is answered. It is the outermost: it answers 500 where everything else failed.

    Args:
        app: that answers.
        metrics: that count.
        log: takes the errors that were not foreseen.
    """

    def __init__(self, app: ASGIApp, metrics: ServerMetrics, log: FewLines) -> None:
        self.app, self.metrics, self.log = app, metrics, log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.perf_counter(), CLIENT_LEFT

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_and_note)
        except ClientDisconnect:  # nobody is there to be answered
            pass
        except Exception as error:
            self.log.print_exception(error)  # the whole for the operator, one line for the client
            answer = JSONResponse({"error": f"{type(error).__name__}; see the server"}, 500)
            await answer(scope, receive, send_and_note)
        finally:
            self.metrics.count_request(scope, status, time.perf_counter() - start)
