"""Providers as rows: add, list, and what the built-in ones are."""

from __future__ import annotations

import re
from datetime import datetime
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import select

from torana.admin.config_version import raise_version as raise_version  # noqa: PLC0414 -- known here
from torana.admin.prices import price_from_list
from torana.core.clock import utc_now
from torana.core.ids import new_id
from torana.db.models import Provider
from torana.db.session import Database
from torana.errors import Conflict, InvalidRequest
from torana.ledger.locking import database_now
from torana.secret_box import SecretBox

LOCAL_MODEL = "smollm2-135m"
LOCAL_CONTEXT = 2048
ECHO_MODEL = "echo"
RESERVED_NAMES = ("openai", "anthropic", "local", "echo")
KINDS = ("compatible", "openai", "anthropic")
"""What may be added: whose API the provider speaks."""
PURPOSE = "provider-keys"
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


class ProviderView(msgspec.Struct, frozen=True):
    """A provider as it is listed: never its key."""

    id: str
    name: str
    kind: str
    base_url: str
    has_key: bool
    enabled: bool
    created_at: datetime


def add_provider(
    database: Database,
    box: SecretBox,
    *,
    name: str,
    base_url: str,
    api_key: str | None,
    kind: str = "compatible",
) -> ProviderView:
    """Add a provider at any base URL; its models are `NAME/model`.

    Args:
        database: where.
        box: encrypts its key.
        name: by which callers address it.
        base_url: up to and with the version.
        api_key: its credential, if it wants one.
        kind: one of `KINDS`: `openai` and `anthropic` have all of those APIs, `compatible` has
            OpenAI's chat.

    Raises:
        InvalidRequest: the name, the kind or the URL is not usable.
        Conflict: the name is taken.
    """
    if not _NAME.fullmatch(name):
        raise InvalidRequest(
            "A provider's name has up to 63 lower-case letters, digits, '-' and '_', "
            "and begins with a letter.",
            param="name",
        )
    if kind not in KINDS:
        raise InvalidRequest(f"A provider is of one of the kinds {', '.join(KINDS)}.", param="kind")
    if not _is_base_url(base_url):
        raise InvalidRequest(
            "A base URL looks like https://host/v1, without credentials, query and fragment.",
            param="base_url",
        )
    with database.write(alone=True) as session:
        taken = session.scalar(select(Provider.id).where(Provider.name == name))
        if name in RESERVED_NAMES or taken is not None:
            raise Conflict(f"The provider name {name!r} is taken.")
        row = Provider(
            id=new_id("prov"),
            name=name,
            kind=kind,
            base_url=base_url.rstrip("/"),
            api_key_encrypted=box.seal(api_key) if api_key else None,
            enabled=True,
            created_at=utc_now(),
        )
        session.add(row)
        price_from_list(session, name, database_now(session))
        raise_version(session)
        return _view(row)


def _is_base_url(text: str) -> bool:
    if not text.isascii() or not text.isprintable() or " " in text:
        return False
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    return (
        parts.scheme in {"http", "https"}
        and bool(parts.hostname)
        and port != 0
        and "@" not in parts.netloc
        and not parts.query
        and not parts.fragment
    )


def list_providers(database: Database) -> list[ProviderView]:
    """The providers that were added, by name."""
    with database.read() as session:
        return [_view(row) for row in session.scalars(select(Provider).order_by(Provider.name))]


def _view(row: Provider) -> ProviderView:
    return ProviderView(
        id=row.id,
        name=row.name,
        kind=row.kind,
        base_url=row.base_url,
        has_key=row.api_key_encrypted is not None,
        enabled=row.enabled,
        created_at=row.created_at,
    )
