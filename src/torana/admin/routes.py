"""Model routes as rows: the names that callers ask for, and the targets behind each.

What a route means is `torana.routing`; here it is checked, kept, and taken away.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from torana.admin.builtin import builtin_routes
from torana.admin.config_log import MACHINE, log_change
from torana.admin.config_version import raise_version
from torana.admin.provider_terms import RESERVED_NAMES
from torana.admin.route_checks import check_route, is_route_name
from torana.core.clock import utc_now
from torana.core.ids import new_id
from torana.db.models import ModelRoute, Provider
from torana.db.session import Database
from torana.errors import Conflict, NotFound
from torana.routing.routes import Route
from torana.settings import Settings


class RouteView(msgspec.Struct, frozen=True, kw_only=True):
    """A route as it is listed.

    Attributes:
        id: None of a built-in one.
        built_in: it comes from the settings and can't be changed here; a route of the same name
            takes its place.
    """

    id: str | None
    name: str
    route: Route
    enabled: bool
    built_in: bool
    created_at: datetime | None
    updated_at: datetime | None


def put_route(
    database: Database,
    route: Route,
    *,
    enabled: bool = True,
    create: bool | None = None,
    actor: str = MACHINE,
) -> RouteView:
    """Let a name stand for a route, whatever it stood for before. The same again changes nothing.

    Args:
        database: where.
        route: the name, and what shall be behind it.
        enabled: whether calls may ask for it.
        create: True only makes a new one, False only changes one that is there.
        actor: who does it, for the log.

    Raises:
        InvalidRequest: something of it is not usable; the message and `param` say what.
        Conflict: there is one already, and it shall be new.
        NotFound: there is none, and it shall be changed.
    """
    with database.write(alone=True) as session:
        check_route(route, _providers(session))
        row = _find(session, route.name)
        if row is None and create is False:
            raise _not_found(route.name)
        if row is not None and create is True:
            raise Conflict(f"There is a route {route.name!r}.", param="name")
        terms = msgspec.json.decode(msgspec.json.encode(route))  # Lists, as the row has them.
        now = utc_now()
        changed = row is None or (row.terms, row.enabled) != (terms, enabled)
        if row is None:
            row = ModelRoute(id=new_id("route"), name=route.name, created_at=now)
            session.add(row)
        if changed:
            row.terms, row.enabled, row.updated_at = terms, enabled, now
            session.flush()
            raise_version(session)
        view = _view(row)
    if changed:
        log_change("route.set", actor, view.id or "", route.name)
    return view


def remove_route(database: Database, name: str, *, actor: str = MACHINE) -> RouteView:
    """Take a route away; the route as it was.

    Raises:
        NotFound: there is none.
    """
    with database.write(alone=True) as session:
        row = _find(session, name)
        if row is None:
            raise _not_found(name)
        view = _view(row)
        session.delete(row)
        raise_version(session)
    log_change("route.removed", actor, view.id or "", name)
    return view


def get_route(database: Database, name: str, *, settings: Settings | None = None) -> RouteView:
    """One route by its name.

    Args:
        database: those that were put are there.
        name: its name.
        settings: also look among the built-in ones that these settings make.

    Raises:
        NotFound: there is none.
    """
    with database.read() as session:
        row = _find(session, name)
        if row is not None:
            return _view(row)
    built_in = builtin_routes(settings).get(name) if settings is not None else None
    if built_in is not None:
        return _built_in(built_in)
    raise _not_found(name)


def list_routes(database: Database, *, settings: Settings | None = None) -> list[RouteView]:
    """The routes by name; after the built-in ones that stand when settings are given."""
    with database.read() as session:
        rows = session.scalars(select(ModelRoute).order_by(ModelRoute.name)).all()
        views = [_view(row) for row in rows]
    names = {view.name for view in views}
    built_in = {} if settings is None else builtin_routes(settings)
    return [
        *(_built_in(route) for name, route in built_in.items() if name not in names),
        *views,
    ]


def describe_route(view: RouteView) -> dict[str, Any]:
    """All that is to be told of a route, its defaults too, for JSON."""
    route = view.route
    return {
        **msgspec.structs.asdict(route),
        "targets": [
            msgspec.structs.asdict(target) | {"when": msgspec.structs.asdict(target.when)}
            for target in route.targets
        ],
        "deadlines": msgspec.structs.asdict(route.deadlines),
        "cache": None if route.cache is None else msgspec.structs.asdict(route.cache),
        "id": view.id,
        "enabled": view.enabled,
        "built_in": view.built_in,
        "created_at": view.created_at,
        "updated_at": view.updated_at,
    }


def _providers(session: Session) -> Collection[str]:
    """What targets may name. A built-in provider may be configured later, or elsewhere."""
    return [*RESERVED_NAMES, *session.scalars(select(Provider.name).order_by(Provider.name))]


def _find(session: Session, name: str) -> ModelRoute | None:
    if not is_route_name(name):
        return None  # PostgreSQL refuses to look for some names that no row can have.
    return session.scalar(select(ModelRoute).where(ModelRoute.name == name))


def _not_found(name: str) -> NotFound:
    return NotFound(f"There is no route {name[:200]!r}.", param="name")


def _built_in(route: Route) -> RouteView:
    return RouteView(
        id=None,
        name=route.name,
        route=route,
        enabled=True,
        built_in=True,
        created_at=None,
        updated_at=None,
    )


def _view(row: ModelRoute) -> RouteView:
    return RouteView(
        id=row.id,
        name=row.name,
        route=msgspec.convert(row.terms, Route),
        enabled=row.enabled,
        built_in=False,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
