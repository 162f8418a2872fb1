"""Which balances judge a call: accounts, the windows that they list, end users' and tags' accounts.

A process remembers what it last saw, and asks for those rows at once; what the locked rows say is
what counts, and a batch that was locked without one of them is locked anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from torana.ledger.decide import Balance
from torana.ledger.records import CallRecord
from torana.ledger.terms import Terms

_MOST = 50_000


class Seen(msgspec.Struct, frozen=True):
    """What was last seen of an account."""

    scope_id: str
    terms: Terms


class Dynamic(msgspec.Struct, frozen=True):
    """An end user or a tag that a call names, of an anchor that counts by it."""

    scope_kind: str
    scope_id: str
    anchor_id: str
    revision: int

    @property
    def template_id(self) -> str:
        """The scope of the template that would make it a budget."""
        return template_of(self.scope_kind, self.scope_id)


class Wanted(msgspec.Struct):
    """The balances that judge a call, and the scopes whose account must be looked up first."""

    balance_ids: list[str]
    unknown: list[Dynamic]


class Directory:
    """What a process knows of accounts. Used by one batch at a time."""

    def __init__(self) -> None:
        self._accounts: dict[str, Seen] = {}
        self._dynamic: dict[tuple[str, str], tuple[str | None, int]] = {}

    def note(self, rows: Iterable[Balance]) -> None:
        """Remember locked accounts."""
        if len(self._accounts) > _MOST:
            self._accounts.clear()
        for row in rows:
            if not row.budget_id:
                self._accounts[row.id] = Seen(row.scope_id, row.terms)

    def note_dynamic(self, scope: Dynamic, account_id: str | None) -> None:
        """Remember the account of an end user or a tag, or that there is none."""
        if len(self._dynamic) > _MOST:
            self._dynamic.clear()
        self._dynamic[scope.scope_kind, scope.scope_id] = (account_id, scope.revision)

    def guess(self, record: CallRecord) -> list[str]:
        """The balances of a call as far as they were seen before."""
        return self.wanted(record, self._accounts.get).balance_ids

    def wanted(self, record: CallRecord, account: Callable[[str], Seen | Balance | None]) -> Wanted:
        """The balances of a call, by what `account` says of an id."""
        found: list[str] = []
        unknown: list[Dynamic] = []
        for account_id in record.account_ids:
            found.append(account_id)
            row = account(account_id)
            if row is None:
                continue
            found.extend(row.terms.windows)
            if row.terms.dimensions:
                for scope in dynamic_scopes(account_id, row, record):
                    known = self._dynamic.get((scope.scope_kind, scope.scope_id))
                    if known is None or (known[0] is None and known[1] != scope.revision):
                        unknown.append(scope)
                    elif known[0] is not None:
                        found.append(known[0])
                        own = account(known[0])
                        if own is not None:
                            found.extend(own.terms.windows)
        return Wanted(found, unknown)


def dynamic_scopes(account_id: str, row: Seen | Balance, record: CallRecord) -> Iterable[Dynamic]:
    """The end user and the tags of a call that an anchor's account counts by."""
    for dimension in row.terms.dimensions:
        if dimension == "end_user":
            kind, text = "end_user", record.end_user
        else:
            name = dimension.removeprefix("tag:")
            value = record.tags.get(name)
            kind, text = "tag", None if value is None else f"{name}={value}"
        if text is not None:
            yield Dynamic(kind, f"{row.scope_id}/{text}", account_id, row.terms.revision)


def template_of(scope_kind: str, scope_id: str) -> str:
    """The scope id of the templates that stand for an end user's or a tag's scope."""
    anchor, _, text = scope_id.partition("/")
    return f"{anchor}/*" if scope_kind == "end_user" else f"{anchor}/{text.partition('=')[0]}=*"


def named_scopes(record: CallRecord) -> list[tuple[str, str]]:
    """Kind and id of every end user's and tag's scope that a call counts in, account or not."""
    names = [("end_user", record.end_user)] if record.end_user is not None else []
    names += [("tag", f"{name}={value}") for name, value in record.tags.items()]
    return [
        (kind, f"{anchor}/{text}")
        for anchor in (record.project_id, record.organisation_id)
        for kind, text in names
    ]
