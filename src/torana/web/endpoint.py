"""How a route comes to be: with a permission and described answers, or not at all.

`ToranaApp` refuses a rule whose view declares no permission, whoever registers it. The declaration
is made by `endpoint`, which also documents the route in the OpenAPI description.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal

from flask import Response, g
from flask_openapi.blueprint import APIBlueprint
from flask_openapi.openapi import OpenAPI
from pydantic import BaseModel

from torana.auth.policy import Permission
from torana.auth.principal import Principal

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
View = Callable[..., Any]
_MARK = "torana_permission"
_FRESH = "torana_fresh"


class Problem(BaseModel):
    """An error as RFC 9457 writes it."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[dict[str, str]] = []


class ToranaApp(OpenAPI):
    """A Flask application in which a route without a permission can't exist."""

    def add_url_rule(
        self,
        rule: str,
        endpoint: str | None = None,
        view_func: View | None = None,
        provide_automatic_options: bool | None = None,
        **options: Any,
    ) -> None:
        """Register a rule.

        Raises:
            TypeError: its view declares no permission.
        """
        if view_func is not None and not hasattr(view_func, _MARK):
            message = f"the route {rule} declares no permission; make it with torana.web.endpoint"
            raise TypeError(message)
        super().add_url_rule(rule, endpoint, view_func, provide_automatic_options, **options)

    def generate_spec_json(self) -> None:
        """Describe the API.

        The library adds a 422 to every operation, in a form of its own; what a broken parameter is
        really answered with depends on the path, and only routes with parameters answer so.
        """
        super().generate_spec_json()  # type: ignore[no-untyped-call]
        for path, item in self.spec_json["paths"].items():
            for operation in item.values():
                del operation["responses"]["422"]
                if not operation.get("parameters"):
                    continue
                operation["responses"]["422"] = {
                    "description": "Unprocessable Content"
                } | _error_response(path)


def permission_of(view: View) -> Permission:
    """What a registered view demands."""
    permission: Permission = getattr(view, _MARK)
    return permission


def wants_fresh_credential(view: View) -> bool:
    """Whether the credential is looked up anew: all but calls, whose admission looks anyway."""
    return bool(getattr(view, _FRESH))


def endpoint(
    area: APIBlueprint,
    method: Method,
    rule: str,
    *,
    permission: Permission,
    summary: str,
    responses: dict[int, Any],
    errors: tuple[int, ...] = (),
    request_body: dict[str, Any] | None = None,
    admits: bool = True,
) -> Callable[[View], View]:
    """Declare a route.

    The view's parameters named `path`, `query` and `body` are pydantic models; they are validated
    after the caller was authenticated. A view returns a pydantic model or a Response.

    Args:
        area: the blueprint that the route belongs to.
        method: its HTTP method.
        rule: its path in Flask's notation.
        permission: what the caller must have; `PUBLIC` for everyone.
        summary: one line for the documentation.
        responses: by status, a pydantic model or an OpenAPI response object.
        errors: statuses that answer with a `Problem`.
        request_body: an OpenAPI request body, for bodies that the view reads itself.
        admits: a route of calls whose view has the caller admitted by the ledger; for all others
            the credential is looked up anew.
    """

    def declare(view: View) -> View:
        @functools.wraps(view)
        def answer(*args: Any, **kwargs: Any) -> Response:
            result = view(*args, **kwargs)
            if isinstance(result, BaseModel):
                return Response(result.model_dump_json(), content_type="application/json")
            return result  # type: ignore[no-any-return]

        setattr(answer, _MARK, permission)
        setattr(answer, _FRESH, permission is not Permission.CALL or not admits)
        documented = {status: problem_response() for status in errors} | responses
        options: dict[str, Any] = {} if request_body is None else {"request_body": request_body}
        if permission is not Permission.PUBLIC:
            options["security"] = [{"bearer": []}, {"api_key": []}]
        register = getattr(area, method.lower())
        register(rule, summary=summary, responses=documented, **options)(answer)
        return view

    return declare


def page(area: APIBlueprint, rule: str) -> Callable[[View], View]:
    """Declare a page for people: public, GET, not part of the API's description."""

    def declare(view: View) -> View:
        setattr(view, _MARK, Permission.PUBLIC)
        setattr(view, _FRESH, False)
        area.add_url_rule(rule, view_func=view, methods=["GET"])
        return view

    return declare


def problem_response() -> dict[str, Any]:
    """The OpenAPI description of an error of the management API."""
    return {
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
        }
    }


def _error_response(path: str) -> dict[str, Any]:
    """The OpenAPI description of an error at a path."""
    if not path.startswith("/v1/"):
        return problem_response()
    name = "AnthropicErrorBody" if path.startswith("/v1/messages") else "ErrorBody"
    return {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}}


def principal() -> Principal:
    """The authenticated caller of the present request."""
    caller: Principal = g.principal
    return caller
