"""From a request to its principal, before anything of the request is read or validated."""

from __future__ import annotations

from flask import current_app, g, request

from torana.auth.policy import Permission
from torana.core.ids import new_id
from torana.errors import NotAuthenticated, PermissionDenied
from torana.web.endpoint import permission_of, wants_fresh_credential
from torana.web.services import services

_BEARER = "bearer "


def identify_request() -> None:
    """Give the request its id. The first thing that happens to it."""
    g.request_id = new_id("req")


def authenticate_request() -> None:
    """Find the caller and check the route's permission.

    Raises:
        NotAuthenticated: no credential, or none of ours.
        PermissionDenied: the caller may not use this route.
    """
    endpoint = request.endpoint
    if endpoint is None:
        return  # No such route: the 404 tells no secret.
    view = current_app.view_functions[endpoint]
    permission = permission_of(view)
    if permission is Permission.PUBLIC:
        return
    caller = services(current_app).key_ring.authenticate(
        presented_credential(), fresh=wants_fresh_credential(view)
    )
    if permission not in caller.permissions:
        raise PermissionDenied(f"This credential lacks the permission {permission.value!r}.")
    g.principal = caller


def presented_credential() -> str:
    """The credential of the request: `Authorization: Bearer`, or `x-api-key`.

    Raises:
        NotAuthenticated: there is none.
    """
    authorization = request.headers.get("authorization", "")
    if authorization[: len(_BEARER)].lower() == _BEARER:
        return authorization[len(_BEARER) :].strip()
    key = request.headers.get("x-api-key")
    if key:
        return key.strip()
    raise NotAuthenticated(
        "No API key was sent.",
        hint="Send it as 'Authorization: Bearer sk-tor-...' or 'x-api-key'.",
    )
