"""For operators and newcomers: live, ready, metrics, the landing page, the API's description."""

from __future__ import annotations

import hmac
import importlib.resources
import ipaddress
import mimetypes
import secrets
from pathlib import Path
from typing import cast

from flask import Response, current_app, g, render_template, request
from flask_openapi.blueprint import APIBlueprint
from pydantic import BaseModel

from torana import __version__
from torana.auth.policy import Permission
from torana.coordination import redis_answers
from torana.db.revision import HEAD, is_read_only, stored_revision
from torana.errors import NotAuthenticated, NotFound, ToranaError
from torana.obs import metrics as metrics_module
from torana.web.authentication import presented_credential
from torana.web.endpoint import ToranaApp, endpoint, page
from torana.web.services import services

area = APIBlueprint("ops", __name__, abp_tags=[{"name": "Operations"}])
_SWAGGER = ("css/swagger-ui.css", "js/swagger-ui-bundle.js")
_YEAR_SECONDS = 31_536_000


class Health(BaseModel):
    """A word on the state."""

    status: str


class Readiness(BaseModel):
    """Whether calls can be served; the checks are told to the authorised only."""

    status: str
    checks: dict[str, str] | None = None


@endpoint(
    area,
    "GET",
    "/healthz",
    permission=Permission.PUBLIC,
    summary="Is the process alive?",
    responses={200: Health},
)
def healthz() -> Health:
    """Touches nothing outside the process: a lost database is no reason to restart it."""
    return Health(status="live")


@endpoint(
    area,
    "GET",
    "/readyz",
    permission=Permission.PUBLIC,
    summary="Can it serve calls?",
    responses={200: Readiness, 503: Readiness},
)
def readyz() -> Response:
    """503 while calls can't be served; `degraded` while only background work can't."""
    checks = {"database": _database_state(), "redis": _redis_state(), "process": "ok"}
    if services(current_app).draining.is_set():
        checks["process"] = "draining"
    needed = (checks["database"], checks["process"])
    status = "ready" if needed == ("ok", "ok") else "unavailable"
    if status == "ready" and checks["redis"] not in {"ok", "not configured"}:
        status = "degraded"
    body = Readiness(status=status, checks=checks if _authorised() else None)
    return Response(
        body.model_dump_json(exclude_none=True),
        status=503 if status == "unavailable" else 200,
        content_type="application/json",
    )


@endpoint(
    area,
    "GET",
    "/metrics",
    permission=Permission.PUBLIC,
    summary="Prometheus metrics of all processes of this host.",
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    errors=(401,),
)
def metrics() -> Response:
    """Open to loopback unless a token is set; everyone else needs the token."""
    if not _may_read_metrics():
        raise NotAuthenticated(
            "Metrics need the token of TORANA_METRICS_TOKEN.", hint="Send it as a bearer token."
        )
    body, content_type = metrics_module.render()
    return Response(body, content_type=content_type)


@page(area, "/")
def landing() -> str:
    """The state and the links, until there is a console."""
    catalog = services(current_app).catalog()
    return render_template(
        "landing.html",
        version=__version__,
        models=list(catalog.routes.values()),
        providers=list(catalog.providers.values()),
        ready=_database_state() == "ok",
        base_url=request.host_url.rstrip("/"),
    )


@page(area, "/openapi.json")
def description() -> Response:
    """The OpenAPI 3.1 description of every route."""
    app = cast("ToranaApp", current_app)
    return Response(app.json.dumps(app.api_doc), content_type="application/json")


@page(area, "/docs")
def swagger() -> Response:
    """Swagger UI, served from this installation."""
    nonce = secrets.token_urlsafe(16)
    response = Response(render_template("docs.html", nonce=nonce), content_type="text/html")
    response.headers["content-security-policy"] = (
        f"default-src 'self'; script-src 'nonce-{nonce}'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; frame-ancestors 'none'"
    )
    return response


@page(area, "/docs/assets/<path:name>")
def swagger_asset(name: str) -> Response:
    """A file of Swagger UI."""
    if name not in _SWAGGER:
        raise NotFound("There is no such file.")
    folder = importlib.resources.files("flask_openapi_swagger") / "templates" / "swagger"
    content_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Response(
        Path(str(folder / name)).read_bytes(),
        content_type=content_type,
        headers={"cache-control": f"public, max-age={_YEAR_SECONDS}"},
    )


def _database_state() -> str:
    try:
        with services(current_app).database.read() as session:
            revision = stored_revision(session)
            if is_read_only(session):
                return "read-only"
    except ToranaError:
        return "unavailable"
    return "ok" if revision == HEAD else f"at revision {revision}, needs {HEAD}"


def _redis_state() -> str:
    url = services(current_app).settings.redis_url
    if url is None:
        return "not configured"
    return "ok" if redis_answers(url.get_secret_value()) else "unavailable"


def _authorised() -> bool:
    """Whether the caller may know details: with any good key, or the metrics token."""
    built = services(current_app)
    try:
        credential = presented_credential()
        if _is_metrics_token(credential):
            return True
        # A key that was seen lately will do: the database may be just what is away.
        g.principal = built.key_ring.authenticate(credential)
    except ToranaError:
        return False
    return True


def _may_read_metrics() -> bool:
    if services(current_app).settings.metrics_token is None:
        return _is_loopback(request.remote_addr)
    try:
        return _is_metrics_token(presented_credential())
    except NotAuthenticated:
        return False


def _is_metrics_token(credential: str) -> bool:
    token = services(current_app).settings.metrics_token
    return token is not None and hmac.compare_digest(
        credential.encode(), token.get_secret_value().encode()
    )


def _is_loopback(address: str | None) -> bool:
    try:
        return address is not None and ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
