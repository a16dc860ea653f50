"""The server's addresses: predict, status, metadata, health, metrics, and the page."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from ..data.decode import Decoding
from ..errors import DataError
from ..exporting.artifact import Artifact, check_probabilities
from ..page.assemble import Page, server_page
from ..runs.answers import Answers
from . import protocol, uploads
from .access import Access, GuardRequests
from .batcher import Batcher, QueueFullError
from .explaining import Explainer
from .limits import RequestLimits
from .logs import FewLines
from .metrics import CountRequests, ServerMetrics

VERSION = "1"
MAX_BODY = 32_000_000  # bytes
NO_FRAMES = "frame-ancestors 'none'"  # which a page cannot say of itself

_Result = TypeVar("_Result")


def build_app(
    artifact: Artifact,
    name: str,
    *,
    threads: int | None = None,
    max_batch: int = 32,
    wait: float = 0.0,
    max_waiting: int = 256,
    max_body: int = MAX_BODY,
    max_pixels: int = protocol.MAX_PIXELS,
    access: Access | None = None,
) -> FastAPI:
    """Return the ASGI application that serves an exported model.

    Args:
        artifact: the exported model.
        name: the model's name in the addresses.
        threads: the number that its runtime may use; default its own choice.
        max_batch: see `Batcher`.
        wait: see `Batcher`.
        max_waiting: see `Batcher`; beyond it the answer is 503.
        max_body: bytes of a request; beyond it the answer is 413, before the rest is read.
        max_pixels: of an image file; beyond it the answer is 400, before it is decoded.
        access: who may ask; default: whoever calls the server by any name, without a token.
    """
    predict, runtime = artifact.open(threads)
    metrics = ServerMetrics()
    batcher = Batcher(predict, max_batch, wait, max_waiting, metrics.count_batch)
    limits = RequestLimits(max_waiting, max_body)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(batcher.stop)

    app = FastAPI(
        title="kmixer", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan,
        redirect_slashes=False,  # to an address that the request names
    )  # fmt: skip
    decoding = replace(artifact.decoding, max_pixels=max_pixels)
    app.state.served = ServedModel(
        artifact, name, runtime, decoding, batcher, metrics, limits, Explainer(artifact)
    )
    app.add_middleware(GuardRequests, access=access or Access())
    app.add_middleware(CountRequests, metrics=metrics, log=FewLines())  # the last is outermost
    app.exception_handler(HTTPException)(_http_error)
    app.exception_handler(RequestValidationError)(_invalid_parameter)
    _add_addresses(app)
    return app


def _add_addresses(app: FastAPI) -> None:
    plain: dict[str, Any] = {"response_model": None}  # answers are ours and need no validation
    for path in ("/v1/models/{model}", f"/v1/models/{{model}}/versions/{VERSION}"):
        app.post(f"{path}:predict", **plain)(_predict)
        _readable(app, f"{path}/metadata", **plain)(_metadata)
        _readable(app, path, **plain)(_status)
    app.post("/classify", **plain)(_classify)
    _readable(app, "/health", **plain)(_health)
    _readable(app, "/metrics", response_class=PlainTextResponse, **plain)(_metrics)
    _readable(app, "/", response_class=HTMLResponse, **plain)(_page)


def _readable(app: FastAPI, path: str, **options: Any) -> Callable[[Any], Any]:
    """Answer GET at an address, and HEAD, with which others ask whether the server lives."""
    return app.api_route(path, methods=["GET", "HEAD"], **options)


@dataclass
class ServedModel:
    """A model with its queue, counters and limits, which all addresses share.

    Attributes:
        artifact: the exported model.
        name: its name in the addresses.
        runtime: that opened it, name and version.
        decoding: how image files become its pixels.
        batcher: answers requests.
        metrics: counts requests.
        limits: refuses requests.
        explainer: says why an answer is what it is.
        started: when, in seconds since 1970.
    """

    artifact: Artifact
    name: str
    runtime: str
    decoding: Decoding
    batcher: Batcher
    metrics: ServerMetrics
    limits: RequestLimits
    explainer: Explainer
    started: float = field(default_factory=time.time)

    @cached_property
    def page(self) -> Page:
        """The page for people."""
        height, width, channels = self.artifact.image_shape
        return server_page(
            {"name": self.name, "classes": len(self.artifact.class_names),
             "width": width, "height": height, "channels": channels,
             "explains": self.explainer.missing is None}
        )  # fmt: skip

    @cached_property
    def answers(self) -> Answers | None:
        """The thresholds of its answers; None: it has none."""
        return self.artifact.answers

    def check_model(self, model: str) -> None:
        """Refuse a request for another model."""
        if model != self.name:
            found = model if len(model) <= 100 else f"{model[:100]}…"
            raise HTTPException(404, f"Servable not found: {found}; this server has {self.name!r}")

    async def read(
        self, request: Request, reader: Callable[..., _Result], *arguments: Any
    ) -> _Result:
        """Read a request's body and return what `reader(body, decoding, *arguments)` returns."""
        async with self.limits.body(request) as body:
            return await self._decode(reader, bytes(body), *arguments)

    async def read_file(self, request: Request, invert: bool) -> np.ndarray:
        """Return the pixels of the image file in a request's body, or in its form."""
        async with self.limits.body(request) as body:
            content = await uploads.uploaded_file(request.headers, bytes(body))
            return await self._decode(protocol.read_file, content, invert)

    async def _decode(
        self, reader: Callable[..., _Result], content: bytes, *arguments: Any
    ) -> _Result:
        try:
            return await self.limits.decode(reader, content, self.decoding, *arguments)
        except DataError as error:
            raise HTTPException(400, str(error)) from None

    async def predict(self, images: np.ndarray) -> np.ndarray:
        """Return the probabilities of uint8 images, `(n, classes)`."""
        try:
            probabilities = await asyncio.wrap_future(self.batcher.submit(images))
        except QueueFullError as error:
            raise HTTPException(503, str(error), {"Retry-After": "1"}) from None
        try:
            check_probabilities(probabilities, len(images), len(self.artifact.class_names))
        except ValueError as error:
            raise HTTPException(500, f"the model's answer: {error}") from None
        return probabilities


def _served(request: Request) -> ServedModel:
    return request.app.state.served


async def _predict(request: Request, model: str) -> dict[str, Any]:
    served = _served(request)
    served.check_model(model)
    images, key = await served.read(request, protocol.read_body, served.limits.max_requests)
    return {key: (await served.predict(images)).tolist()}


async def _classify(
    request: Request, invert: bool = False, explain: bool = False
) -> dict[str, Any]:
    """Classify an image file; answer the classes, best first, and the image as the model saw it.

    With `explain`, which parts of it speak for the best class, and which for the second.
    """
    served = _served(request)
    if explain:
        served.explainer.check()
    pixels = await served.read_file(request, invert)
    probabilities = (await served.predict(pixels[None]))[0]
    order = (-probabilities).argsort(kind="stable")
    names, answers = served.artifact.class_names, served.answers
    answer: dict[str, Any] = {
        "classes": [{"class": names[i], "probability": float(probabilities[i])} for i in order],
        "seen": protocol.as_png(pixels),
        **({"answer": answers.of(probabilities, names)} if answers else {}),
    }
    if explain:
        answer["explanation"] = await served.explainer.explain(pixels, probabilities)
    return answer


async def _status(request: Request, model: str) -> dict[str, Any]:
    _served(request).check_model(model)
    state = {"error_code": "OK", "error_message": ""}
    return {"model_version_status": [{"version": VERSION, "state": "AVAILABLE", "status": state}]}


async def _metadata(request: Request, model: str) -> dict[str, Any]:
    served = _served(request)
    served.check_model(model)
    manifest = served.artifact.manifest
    signature = {
        "inputs": {protocol.INPUT: _tensor("DT_UINT8", *served.artifact.image_shape)},
        "outputs": {"probabilities": _tensor("DT_FLOAT", len(manifest["class_names"]))},
        "method_name": "tensorflow/serving/predict",
    }
    return {
        "model_spec": {"name": served.name, "signature_name": "", "version": VERSION},
        "metadata": {
            "signature_def": {"signature_def": {"serving_default": signature}},
            "class_names": manifest["class_names"],
            "format": manifest["format"],
            "quantize": manifest["quantize"],
            "runtime": served.runtime,
            "proof": manifest["proof"],
            "answers": manifest.get("answers"),
        },
    }


def _tensor(dtype: str, *sides: int) -> dict[str, Any]:
    """Return TensorFlow Serving's description of a tensor `(batch, *sides)`."""
    dims = [{"size": str(side), "name": ""} for side in (-1, *sides)]
    return {"dtype": dtype, "tensor_shape": {"dim": dims, "unknown_rank": False}}


async def _health(request: Request) -> dict[str, Any]:
    return {"status": "ok", "seconds": round(time.time() - _served(request).started, 1)}


async def _metrics(request: Request) -> str:
    served = _served(request)
    return served.metrics.text(served.batcher.waiting)


async def _page(request: Request) -> HTMLResponse:
    page = _served(request).page
    policy = {"content-security-policy": f"{page.policy}; {NO_FRAMES}"}
    return HTMLResponse(page.html, headers=policy | {"cache-control": "no-store"})


async def _http_error(request: Request, error: HTTPException) -> JSONResponse:
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)


async def _invalid_parameter(request: Request, error: RequestValidationError) -> JSONResponse:
    first = error.errors()[0]
    return JSONResponse({"error": f"{'.'.join(map(str, first['loc']))}: {first['msg']}"}, 400)
