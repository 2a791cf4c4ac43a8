"""The server's addresses: what each is asked, and what it answers.

Requests are decoded beside each other, and clips of several are read by the model in one go. Whatever goes
wrong is one JSON object, ``{"error": ..., "next": ...}``, in the words of the command line.
"""

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from fsarctl.errors import FsarctlError, InputError, UpstreamError
from fsarctl.errors.shown import escaped
from fsarctl.predict.event_rules import EventRules
from fsarctl.predict.predictor import Prediction
from fsarctl.predict.recogniser import Look
from fsarctl.predict.windows import SHORTEST_S
from fsarctl.serving.support_sets import Example, SupportSets
from fsarctl.serving.uploads import Limits, Refused
from fsarctl.serving.work import Work
from fsarctl.video.processes.decoding_pool import Decoders, Failure

__all__ = ["Served", "make_app"]

VERSION = version("fsarctl")

BODY: dict[str, Any] = {
    "requestBody": {
        "description": "The video's bytes; none where `path` names a file.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
"""The body of what takes a video, in OpenAPI's words."""

STATUS = {InputError: 422, UpstreamError: 409}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src blob:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True)
class Served:
    """What a server is given.

    ``checked``: decodes what is to become an example. ``videos``: the folder whose files may be named.
    ``token``: what every request has to bear; "" for none. ``hosts``: what it may be called; none: anything.
    ``note``: hears of faults.
    """

    supports: SupportSets
    checked: Decoders
    videos: Path | None = None
    limits: Limits = field(default_factory=Limits)
    token: str = ""
    hosts: Sequence[str] = ()
    note: Callable[[str], None] = lambda _: None


def make_app(served: Served) -> FastAPI:
    """The application; every worker process and thread of it ends with its lifespan."""
    work = Work(served.supports, served.checked, served.videos, served.limits)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(work.close)

    app = FastAPIOffline(
        title="fsarctl", version=VERSION, lifespan=lifespan, redoc_url=None, description=DESCRIPTION
    )
    if served.hosts:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(served.hosts), www_redirect=False)

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> JSONResponse:
        headers = {"Retry-After": "1"} if error.status == 503 else {}
        return _wrong(error.status, error.message, error.next_step, headers)

    @app.exception_handler(FsarctlError)
    async def said(_: Request, error: FsarctlError) -> JSONResponse:
        return _wrong(STATUS.get(type(error), 500), error.message, error.next_step)

    @app.exception_handler(RequestValidationError)
    async def misasked(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return _wrong(422, f"{first['loc'][-1]}: {first['msg'].lower()}", "See /docs for what it takes.")

    @app.exception_handler(HTTPException)
    async def elsewhere(_: Request, error: HTTPException) -> JSONResponse:
        return _wrong(error.status_code, str(error.detail).lower(), "See /docs for what there is.")

    @app.exception_handler(Exception)
    async def fault(_: Request, error: Exception) -> JSONResponse:
        served.note(f"error: {type(error).__name__}: {error}; a bug in fsarctl: --debug shows where")
        return _wrong(500, "this is a bug in fsarctl", "Tell whoever runs the server.")

    @app.exception_handler(OSError)
    async def trouble(_: Request, error: OSError) -> JSONResponse:
        return _wrong(500, f"the server's disk: {error.strerror or error}", "Tell whoever runs the server.")

    async def allowed(request: Request) -> None:
        """Refuse pages of other origins, and whoever does not bear the token."""
        origin, host = request.headers.get("origin"), request.headers.get("host", "")
        if origin is not None and origin.partition("://")[2] != host:
            raise Refused(
                403, f"a page of {escaped(origin)} may not ask this server", "Open the server's own page."
            )
        given = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        if served.token and not secrets.compare_digest(given.encode(), served.token.encode()):
            raise Refused(401, "the token is missing or wrong", "Send the header Authorization: Bearer TOKEN")

    guarded = [Depends(allowed)]

    @app.get("/health")
    async def health() -> dict[str, Any]:
        """Whether it answers, and how much it has to do."""
        return {"status": "ok", "version": VERSION, "working": work.working, "waiting": work.waiting}

    @app.get("/supports", dependencies=guarded)
    async def supports() -> dict[str, Any]:
        """The support sets, and the clips of those that are folders."""
        return {"folder": str(served.supports.folder), "supports": await asyncio.to_thread(work.listing)}

    @app.post("/predict", dependencies=guarded, openapi_extra=BODY)
    async def predict(
        request: Request,
        support: Annotated[str, Query(description="A support set, by name.")],
        path: Annotated[
            str, Query(description="A file below the folder of --videos, instead of a body.")
        ] = "",
        top: Annotated[int, Query(ge=1, description="How many classes.")] = 3,
        look: Annotated[bool, Query(description="Also a picture of where the model looks.")] = False,
    ) -> dict[str, Any]:
        """Name the action of a clip."""
        async with work.turn(), work.video(request, path) as video, work.in_time():
            recogniser = await asyncio.to_thread(served.supports.recogniser, support)
            clip = await work.thread(recogniser.read, video)
            if isinstance(clip[1], Failure):
                raise InputError(
                    f"the video cannot be read: {clip[1].reason}",
                    next_step="Check that a player can show it.",
                )
            answer = await work.batches.answer(recogniser, clip)
            shown = await work.thread(recogniser.look, clip[1]) if look else None
        return _prediction(support, answer, top, shown)

    @app.post("/spot", dependencies=guarded, openapi_extra=BODY)
    async def spot(
        request: Request,
        support: Annotated[str, Query(description="A support set, by name.")],
        path: Annotated[
            str, Query(description="A file below the folder of --videos, instead of a body.")
        ] = "",
        length: Annotated[
            list[Annotated[float, Query(ge=SHORTEST_S)]] | None,
            Query(description="Seconds of a window, once or several times; by default as the examples."),
        ] = None,
        stride: Annotated[float | None, Query(gt=0, description="Seconds between windows.")] = None,
        threshold: Annotated[float, Query(ge=0, le=1, description="Confidence of an event.")] = 0.5,
    ) -> dict[str, Any]:
        """Find the actions in a long video."""
        async with work.turn(), work.video(request, path) as video, work.in_time():
            recogniser = await asyncio.to_thread(served.supports.recogniser, support)
            events = await work.spot(recogniser, video, length, stride, EventRules(threshold=threshold))
        return {
            "schema": "fsarctl.serve.spot/1",
            "support": support,
            "events": [vars(each) for each in events],
        }

    @app.post("/supports/{name}", dependencies=guarded, openapi_extra=BODY)
    async def add(
        request: Request, name: str, label: Annotated[str, Query(description="The class that it shows.")]
    ) -> dict[str, Any]:
        """Keep a clip as an example of a class; the support set is made if need be."""
        async with work.turn(), work.video(request, "") as video, work.in_time():
            read = await work.thread(served.checked.read, video)
            if isinstance(read, Failure):
                raise InputError(
                    f"the video cannot be read: {read.reason}", next_step="Check that a player can show it."
                )
            path = await work.thread(served.supports.add, name, label, video)
        return {"label": label, "name": path.name, "path": str(path)}

    @app.delete("/supports/{name}", dependencies=guarded)
    async def remove(name: str, label: str, example: str) -> dict[str, Any]:
        """Delete an example."""
        await work.thread(served.supports.remove, name, Example(label, example))
        return {}

    @app.get("/supports/{name}", dependencies=guarded, response_class=FileResponse)
    async def example(name: str, label: str, example: str) -> FileResponse:
        """The video of an example."""
        path = await work.thread(served.supports.example, name, Example(label, example))
        if path is None or path.is_dir():
            raise InputError("there is no such example, or it is a folder", next_step="Reload the page.")
        return FileResponse(path)

    for address, (file, media) in PAGE.items():
        app.get(address, include_in_schema=False)(partial(_file, file, media))
    return app


DESCRIPTION = (
    "Names the actions of clips from a few examples of each. A video is the body of a request, as it is"
    " (`curl --data-binary @new.mp4`). What goes wrong is `{error, next}`."
)

PAGE = {
    "/": ("page.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/camera.js": ("camera.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
}


async def _file(name: str, media: str) -> Response:
    content = resources.files("fsarctl.serving").joinpath(name).read_bytes()
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
    return Response(content, media_type=media, headers=headers)


def _prediction(support: str, answer: Prediction, top: int, look: Look | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "schema": "fsarctl.serve.predict/1",
        "support": support,
        "classes": [
            {"class": each.label, "score": each.score, "confidence": each.confidence}
            for each in answer.classes[:top]
        ],
        "none": answer.none,
        "remarks": list(answer.remarks),
        "same_frames_as": answer.twin or None,
    }
    if look is not None:
        from fsarctl.report.frame_strips import MEDIA_TYPE, strip

        picture = base64.b64encode(strip(look.frames, look.maps)).decode()
        found["look"] = f"data:{MEDIA_TYPE};base64,{picture}"
        found["looks_known"] = look.maps is not None
    return found


def _wrong(status: int, message: str, next_step: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": message, "next": next_step}, status, headers)
