"""Providers with their keys, and the models behind which they stand, as parts of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from torana.admin import provider_keys as keys
from torana.admin import providers as admin
from torana.admin.apply.difference import Change, Difference, compare, words
from torana.admin.apply.locator import Path
from torana.admin.apply.part import Need, Part
from torana.admin.apply.schema import WantedModel, WantedProvider
from torana.admin.provider_terms import (
    RESERVED_NAMES,
    ProviderTerms,
    check_keys,
    read_options,
    read_terms,
)
from torana.admin.routes import get_route, put_route
from torana.db.session import Database
from torana.errors import Conflict, NotFound
from torana.outbound.resolver import SocketAddress
from torana.providers.options import ProviderOptions
from torana.routing.routes import Route
from torana.secret_box import SecretBox


class _Provider(msgspec.Struct, frozen=True):
    """What of a provider may change."""

    base_url: str
    enabled: bool
    options: ProviderOptions


def _ask_nobody(_host: str, _port: int) -> Sequence[SocketAddress]:
    """No address: names were asked for before the transaction, which must not wait for answers."""
    raise OSError


class ProviderPart(Part):
    """`[[providers]]`.

    Args:
        wanted: what the file says.
        options: the options that it names.
        secrets: its keys by label; empty leaves those that there are.
        box: encrypts them.
        path: where it stands.
    """

    kind = "provider"
    own_names = {"api_key": "keys", "label": "keys"}  # noqa: RUF012 -- a constant

    def __init__(
        self,
        wanted: WantedProvider,
        options: Mapping[str, Any],
        secrets: Mapping[str, str],
        box: SecretBox,
        path: Path,
    ) -> None:
        super().__init__(wanted.name, path)
        self._wanted = wanted
        self._options = options
        self._secrets = secrets
        self._box = box

    def compare(self, database: Database) -> Change | None:
        """See `Part`."""
        wanted, terms = self._wanted, self._terms()
        check_keys(list(self._secrets.items()))
        try:
            present = admin.get_provider(database, self.name)
        except NotFound:
            if self.name in RESERVED_NAMES:
                raise Conflict(
                    f"The provider {self.name!r} is built in.",
                    hint="It follows the settings of the service; choose another name.",
                    param="name",
                ) from None
            about = [wanted.preset or terms.kind, terms.base_url, *self._key_words()]
            return self.added(", ".join([*about, *([] if wanted.enabled else ["disabled"])]))
        for field, was, now in (
            ("preset", present.preset, wanted.preset),
            ("kind", present.kind, terms.kind),
        ):
            if was != now:
                raise Conflict(
                    f"The {field} of the provider {self.name!r} is {words(was)} and can't become "
                    f"{words(now)}.",
                    hint=f"Remove it first (`torana providers remove {self.name}`).",
                    param=field,
                )
        before = _Provider(present.base_url, present.enabled, read_options(present.options))
        after = _Provider(terms.base_url, wanted.enabled, terms.options)
        return self.changed(compare(before, after) + tuple(self._key_differences(database)))

    def write(self, database: Database) -> None:
        """See `Part`."""
        wanted, terms = self._wanted, self._terms()
        try:
            admin.get_provider(database, self.name)
        except NotFound:
            admin.add_provider(
                database,
                self._box,
                name=self.name,
                kind=wanted.kind,
                preset=wanted.preset,
                base_url=wanted.base_url,
                variables=wanted.variables,
                options=self._options,
                keys=list(self._secrets.items()),
                enabled=wanted.enabled,
                resolve=_ask_nobody,
            )
            return
        change = admin.ProviderChange(
            base_url=terms.base_url,
            enabled=wanted.enabled,
            options=msgspec.to_builtins(terms.options),
        )
        admin.set_provider(database, self.name, change, resolve=_ask_nobody)
        for label in self._surplus(database):
            keys.remove_key(database, self.name, label)
        for label, secret in self._secrets.items():
            keys.put_key(database, self._box, self.name, label=label, secret=secret)

    def base_url(self) -> str:
        """Where it is to be.

        Raises:
            InvalidRequest: that is not to be told from what the file says.
        """
        return self._terms().base_url

    def _terms(self) -> ProviderTerms:
        wanted = self._wanted
        return read_terms(
            wanted.kind, wanted.preset, wanted.base_url, wanted.variables, self._options
        )

    def _key_words(self) -> list[str]:
        return [f"key {label}" for label in self._secrets]

    def _key_differences(self, database: Database) -> list[Difference]:
        """Which keys change, with nothing of them."""
        labels = {view.label for view in keys.list_keys(database, self.name)}
        found = []
        for label, secret in self._secrets.items():
            if label not in labels:
                found.append(Difference(f"key {label}", None, "added"))
            elif not keys.key_holds(database, self._box, self.name, label=label, secret=secret):
                found.append(Difference(f"key {label}", None, "changed"))
        return [
            *found,
            *(Difference(f"key {label}", None, "removed") for label in self._surplus(database)),
        ]

    def _surplus(self, database: Database) -> list[str]:
        """The labels of keys that the file, which names keys, does not name."""
        if not self._secrets:
            return []
        views = keys.list_keys(database, self.name)
        return [view.label for view in views if view.label not in self._secrets]


class ModelPart(Part):
    """`[[models]]`."""

    kind = "model"

    def __init__(self, wanted: WantedModel, path: Path) -> None:
        super().__init__(wanted.name, path)
        self._wanted = wanted
        fields = Route.__struct_fields__
        self._route = Route(**{field: getattr(wanted, field) for field in fields})

    @property
    def needs(self) -> frozenset[Need]:
        """The providers of its targets."""
        return frozenset(("provider", target.provider) for target in self._wanted.targets)

    def compare(self, database: Database) -> Change | None:
        """See `Part`."""
        try:
            present = get_route(database, self.name)
        except NotFound:
            targets = ", ".join(words(target) for target in self._wanted.targets)
            return self.added(f"{self._wanted.strategy}: {targets}")
        # As a file would say it, so that both sides have the same fields.
        before = WantedModel(**msgspec.structs.asdict(present.route), enabled=present.enabled)
        return self.changed(compare(before, self._wanted))

    def write(self, database: Database) -> None:
        """See `Part`."""
        put_route(database, self._route, enabled=self._wanted.enabled)
