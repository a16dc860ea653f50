"""The server's addresses: predict, status, metadata, health, metrics, and the page."""

import asyncio
import json
import time
from contextlib import asynccontextmanager
from importlib.resources import files

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from ..errors import DataError
from . import protocol
from .batcher import Batcher, QueueFullError
from .limits import Gate
from .metrics import Monitor

VERSION = "1"
MAX_BODY = 16_000_000  # bytes


def build_app(artefact, name, *, threads=None, max_batch=32, wait=0.0, max_waiting=256,
              max_body=MAX_BODY):  # fmt: skip
    """Return the ASGI application that serves an exported model.

    Args:
        artefact: an `Artefact`.
        name: under which the model is served.
        threads: that its runtime may use; default the runtime's choice.
        max_batch: see `Batcher`.
        wait: see `Batcher`.
        max_waiting: see `Batcher`; beyond it the answer is 503.
        max_body: bytes of a request; beyond it the answer is 413, before the rest is read.
    """
    predict, runtime = artefact.open(threads)
    monitor = Monitor()
    batcher = Batcher(predict, max_batch, wait, max_waiting, monitor.batch)

    @asynccontextmanager
    async def lifespan(app):
        yield
        await run_in_threadpool(batcher.stop)

    app = FastAPI(
        title="kmixer", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan
    )
    app.state.served = Served(
        artefact, name, runtime, batcher, monitor, Gate(max_waiting, max_body)
    )
    app.middleware("http")(monitor.watch)
    app.add_exception_handler(HTTPException, _as_error)
    app.add_exception_handler(RequestValidationError, _as_bad_request)
    for path in ("/v1/models/{model}", f"/v1/models/{{model}}/versions/{VERSION}"):
        app.post(f"{path}:predict")(_predict)
        app.get(f"{path}/metadata")(_metadata)
        app.get(path)(_status)
    app.post("/classify")(_classify)
    app.get("/health")(_health)
    app.get("/metrics", response_class=PlainTextResponse)(_metrics)
    app.get("/", response_class=HTMLResponse)(_page)
    return app


class Served:
    """What the addresses share: the model, its queue, the counters, the limits."""

    def __init__(self, artefact, name, runtime, batcher, monitor, gate):
        self.artefact, self.name, self.runtime = artefact, name, runtime
        self.batcher, self.monitor, self.gate = batcher, monitor, gate
        self.started = time.time()

    def check_name(self, model):
        """Refuse a request for another model."""
        if model != self.name:
            raise HTTPException(404, f"Servable not found: {model}; this server has {self.name!r}")

    async def read(self, request, reader, *arguments):
        """Return what `reader` makes of a request's body."""
        async with self.gate.body(request) as body:
            try:
                return await self.gate.read(
                    reader, bytes(body), self.artefact.image_shape, *arguments
                )
            except DataError as error:
                raise HTTPException(400, str(error)) from None

    async def ask(self, images):
        """Return the probabilities of uint8 images, `(n, classes)`."""
        try:
            return await asyncio.wrap_future(self.batcher.submit(images))
        except QueueFullError as error:
            raise HTTPException(503, str(error), {"Retry-After": "1"}) from None


async def _predict(request: Request, model: str):
    served = request.app.state.served
    served.check_name(model)
    images, key = await served.read(request, protocol.read_body, served.gate.max_requests)
    return {key: (await served.ask(images)).tolist()}


async def _classify(request: Request, invert: bool = False):
    """Take an image file as the body; tell classes, the best first, and what the model saw."""
    served = request.app.state.served
    pixels = await served.read(request, protocol.read_file, invert)
    said = (await served.ask(pixels[None]))[0]
    order = (-said).argsort(kind="stable")
    names = served.artefact.class_names
    return {
        "classes": [{"class": names[i], "probability": float(said[i])} for i in order],
        "seen": protocol.as_png(pixels),
    }


async def _status(request: Request, model: str):
    request.app.state.served.check_name(model)
    state = {"error_code": "OK", "error_message": ""}
    return {"model_version_status": [{"version": VERSION, "state": "AVAILABLE", "status": state}]}


async def _metadata(request: Request, model: str):
    served = request.app.state.served
    served.check_name(model)
    manifest = served.artefact.manifest
    height, width, channels = served.artefact.image_shape

    def tensor(dtype, *sides):
        dims = [{"size": str(side), "name": ""} for side in (-1, *sides)]
        return {"dtype": dtype, "tensor_shape": {"dim": dims, "unknown_rank": False}}

    signature = {
        "inputs": {protocol.INPUT: tensor("DT_UINT8", height, width, channels)},
        "outputs": {"probabilities": tensor("DT_FLOAT", len(manifest["class_names"]))},
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
        },
    }


async def _health(request: Request):
    served = request.app.state.served
    return {"status": "ok", "seconds": round(time.time() - served.started, 1)}


async def _metrics(request: Request):
    served = request.app.state.served
    return served.monitor.text(served.batcher.waiting)


async def _page(request: Request):
    served = request.app.state.served
    height, width, channels = served.artefact.image_shape
    about = {"name": served.name, "classes": len(served.artefact.class_names), "width": width,
             "height": height, "channels": channels}  # fmt: skip
    page = files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    return page.replace("{{about}}", json.dumps(about).replace("<", "\\u003c"))


async def _as_error(request: Request, error: HTTPException):
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)


async def _as_bad_request(request: Request, error: RequestValidationError):
    first = error.errors()[0]
    return JSONResponse({"error": f"{'.'.join(map(str, first['loc']))}: {first['msg']}"}, 400)
