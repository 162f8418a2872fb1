"""The application: its areas, and the whole order of what happens around a view, in one place."""

from __future__ import annotations

from flask import Response, g

from torana import __version__
from torana.web import errors, ops
from torana.web import models as wire_models
from torana.web.anthropic import messages
from torana.web.anthropic.schemas import AnthropicErrorBody, AnthropicErrorObject
from torana.web.api import (
    budgets,
    guardrails,
    ledger,
    limits,
    me,
    models,
    prices,
    provider_keys,
    providers,
    routes,
    usage,
)
from torana.web.authentication import authenticate_request, identify_request
from torana.web.endpoint import Problem, ToranaApp
from torana.web.openai import (
    audio,
    chat,
    completions,
    embeddings,
    images,
    moderations,
    rerank,
    responses,
)
from torana.web.openai.schemas import ErrorBody, ErrorObject
from torana.web.services import Services, attach
from torana.web.uploads import LIMIT_SETTING

AREAS = (
    chat.area,
    responses.area,
    completions.area,
    embeddings.area,
    images.area,
    audio.area,
    moderations.area,
    rerank.area,
    messages.area,
    wire_models.area,
    me.area,
    routes.area,
    models.area,
    providers.area,
    provider_keys.area,
    guardrails.area,
    prices.area,
    budgets.area,
    limits.area,
    usage.area,
    ledger.area,
    ops.area,
)

_PAGE_HEADERS = {"referrer-policy": "no-referrer", "x-frame-options": "DENY"}
"""What only a browser that shows a page has use for."""


def create_app(built: Services) -> ToranaApp:
    """Make the application of one web process.

    Args:
        built: the services that its views work with.
    """
    app = ToranaApp(
        __name__,
        static_folder=None,
        template_folder="templates",
        info={
            "title": "Torana",
            "version": __version__,
            "description": "One API for every model, exact budgets, a durable ledger.",
        },
        security_schemes={
            "bearer": {"type": "http", "scheme": "bearer"},
            "api_key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
        },
        validation_error_model=Problem,
        validation_error_callback=errors.validation_response,
        doc_ui=False,
    )
    app.openapi_version = "3.1.0"
    app.config["MAX_CONTENT_LENGTH"] = built.settings.max_body_bytes
    app.config[LIMIT_SETTING] = built.settings.max_upload_bytes
    attach(app, built)
    for model in (
        ErrorBody,
        ErrorObject,
        AnthropicErrorBody,
        AnthropicErrorObject,
        Problem,
    ):
        app.components_schemas[model.__name__] = model.model_json_schema()
    app.before_request(identify_request)
    app.before_request(authenticate_request)
    for area in AREAS:
        app.register_api(area)
    app.after_request(_finish)
    errors.install(app)
    return app


def _finish(response: Response) -> Response:
    request_id = g.get("request_id", "")
    headers = response.headers
    headers["x-request-id"] = request_id
    headers["request-id"] = request_id
    headers["x-content-type-options"] = "nosniff"
    if response.mimetype == "text/html":
        for name, value in _PAGE_HEADERS.items():
            headers.setdefault(name, value)
    return response
