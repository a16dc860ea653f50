"""The server's addresses: predict, status, metadata, health, metrics, and the page."""

import asyncio
import json
import time
from contextlib import asynccontextmanager
from importlib.resources import files

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from ..errors import DataError
from . import wire
from .batcher import Batcher, QueueFullError
from .monitor import Monitor

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

    app = FastAPI(title="kmixer", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.state.served = Served(artefact, name, runtime, batcher, monitor, max_body)
    app.middleware("http")(monitor.watch)
    app.add_exception_handler(HTTPException, _as_error)
    for path in (f"/v1/models/{name}", f"/v1/models/{name}/versions/{VERSION}"):
        app.get(path)(_status)
        app.get(f"{path}/metadata")(_metadata)
        app.post(f"{path}:predict")(_predict)
    app.get("/v1/models/{other:path}")(_not_found)
    app.post("/v1/models/{other:path}")(_not_found)
    app.post("/classify")(_classify)
    app.get("/health")(_health)
    app.get("/metrics", response_class=PlainTextResponse)(_metrics)
    app.get("/", response_class=HTMLResponse)(_page)
    return app


class Served:
    """What the addresses share: the model, its queue, the counters, the limits."""

    def __init__(self, artefact, name, runtime, batcher, monitor, max_body):
        self.artefact, self.name, self.runtime = artefact, name, runtime
        self.batcher, self.monitor, self.max_body = batcher, monitor, max_body
        self.started = time.time()

    async def ask(self, images):
        """Return the probabilities of uint8 images, `(n, classes)`."""
        try:
            return await asyncio.wrap_future(self.batcher.submit(images))
        except QueueFullError as error:
            raise HTTPException(503, str(error), {"Retry-After": "1"}) from None

    async def body(self, request):
        """Return a request's body; one that is too long is refused before it is read."""
        length = request.headers.get("content-length", "0")
        too_long = HTTPException(413, f"the body is longer than {self.max_body:,} bytes")
        if not length.isdecimal() or int(length) > self.max_body:
            raise too_long
        content = bytearray()
        async for piece in request.stream():
            content += piece
            if len(content) > self.max_body:
                raise too_long
        return bytes(content)


async def _predict(request: Request):
    served = request.app.state.served
    body = await served.body(request)
    images, key = await _reading(wire.read_body, body, served.artefact.image_shape)
    return {key: (await served.ask(images)).tolist()}


async def _classify(request: Request, invert: bool = False):
    """Take an image file as the body; tell classes, the best first, and what the model saw."""
    served = request.app.state.served
    content = await served.body(request)
    pixels = await _reading(wire.read_file, content, served.artefact.image_shape, invert)
    said = (await served.ask(pixels[None]))[0]
    order = (-said).argsort(kind="stable")
    names = served.artefact.class_names
    return {
        "classes": [{"class": names[i], "probability": float(said[i])} for i in order],
        "seen": wire.as_png(pixels),
    }


async def _reading(read, *arguments):
    try:
        return await run_in_threadpool(read, *arguments)
    except DataError as error:
        raise HTTPException(400, str(error)) from None


async def _status():
    state = {"error_code": "OK", "error_message": ""}
    return {"model_version_status": [{"version": VERSION, "state": "AVAILABLE", "status": state}]}


async def _metadata(request: Request):
    served = request.app.state.served
    manifest = served.artefact.manifest
    height, width, channels = served.artefact.image_shape

    def tensor(dtype, *sides):
        dims = [{"size": str(side), "name": ""} for side in (-1, *sides)]
        return {"dtype": dtype, "tensor_shape": {"dim": dims, "unknown_rank": False}}

    signature = {
        "inputs": {wire.INPUT: tensor("DT_UINT8", height, width, channels)},
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


async def _not_found(other: str, request: Request):
    served = request.app.state.served
    raise HTTPException(404, f"Servable not found: {other}; this server has {served.name!r}")


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
