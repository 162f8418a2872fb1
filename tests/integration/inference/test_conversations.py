"""Responses that callers come back to: found by their project only, and only while they live."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import timedelta

import pytest
from pydantic import SecretStr
from sqlalchemy import select, update

from tests.integration.ledger.books import Books, settlement
from torana.core.ids import new_id
from torana.db.models import StoredResponse
from torana.errors import ConfigurationError
from torana.inference.conversations import MOST_BYTES, PURPOSE, Conversations
from torana.secret_box import SecretBox

LIFE = timedelta(days=30)
CONTENT = b'{"input":"canary-prompt","output":[]}'
OLD, NEW = SecretStr("o" * 32), SecretStr("n" * 32)


def fresh_id() -> str:
    return f"resp_{secrets.token_hex(8)}"


class Library:
    """Conversations, and calls that leave some."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.project_id = books.principal.project_id
        self.conversations = self.with_secrets(OLD)

    def with_secrets(self, *secrets: SecretStr, life: timedelta = LIFE) -> Conversations:
        return Conversations(self.books.database, SecretBox(secrets, PURPOSE), life)

    def store(self, content: bytes | None = CONTENT, previous_id: str | None = None) -> str:
        """Post a call whose response is kept; its id."""
        response_id = fresh_id()
        kept = self.conversations.keep(response_id, content=content, previous_id=previous_id)
        assert kept is not None
        self.books.teller.post(self.books.admit(), settlement(response=kept))
        return response_id

    def expire(self, response_id: str) -> None:
        with self.books.database.write() as session:
            session.execute(
                update(StoredResponse)
                .where(StoredResponse.id == response_id)
                .values(expires_at=StoredResponse.created_at)
            )

    def row(self, response_id: str) -> StoredResponse | None:
        with self.books.database.read() as session:
            return session.scalars(
                select(StoredResponse).where(StoredResponse.id == response_id)
            ).one_or_none()


@pytest.fixture
def library(shared_database) -> Iterator[Library]:
    with Books(shared_database) as books:
        yield Library(books)
        assert books.differences() == []


def test_what_was_kept_is_found_as_it_was(library):
    first = library.store()
    second = library.store(b"\x00\xff", previous_id=first)
    found = library.conversations.find(second, library.project_id)
    assert found is not None
    assert (found.id, found.content, found.previous_id) == (second, b"\x00\xff", first)
    assert (found.provider, found.target_model, found.kept_by) == ("fake", "target-model", "torana")
    assert found.expires_at - found.created_at == LIFE
    before = library.conversations.find(first, library.project_id)
    assert before is not None
    assert (before.content, before.previous_id) == (CONTENT, None)


def test_what_the_provider_keeps_is_known_by_its_id(library):
    response_id = library.store(None)
    found = library.conversations.find(response_id, library.project_id)
    assert found is not None
    assert (found.kept_by, found.content, found.provider) == ("provider", None, "fake")


def test_nobody_else_finds_or_deletes_it(library):
    response_id = library.store()
    stranger = new_id("proj")
    assert library.conversations.find(response_id, stranger) is None
    assert not library.conversations.delete(response_id, stranger)
    assert library.conversations.find(response_id, library.project_id) is not None


@pytest.mark.parametrize(
    "response_id", ["resp_nowhere", "", "nul\x00", "\ud800", "é", "x" * 10_000]
)
def test_what_is_not_there_is_not_found(library, response_id):
    assert library.conversations.find(response_id, library.project_id) is None
    assert not library.conversations.delete(response_id, library.project_id)


def test_what_is_deleted_is_gone(library):
    response_id = library.store()
    assert library.conversations.delete(response_id, library.project_id)
    assert library.row(response_id) is None
    assert library.conversations.find(response_id, library.project_id) is None
    assert not library.conversations.delete(response_id, library.project_id)


def test_what_has_expired_does_not_exist_although_it_is_still_there(library):
    response_id = library.store()
    library.expire(response_id)
    assert library.conversations.find(response_id, library.project_id) is None
    assert not library.conversations.delete(response_id, library.project_id)
    assert library.row(response_id) is not None


def test_it_is_encrypted_for_this_purpose_alone(library):
    response_id = library.store()
    row = library.row(response_id)
    assert row is not None
    assert row.content is not None
    assert b"canary" not in row.content
    with pytest.raises(ConfigurationError):
        SecretBox([OLD], "idempotent-answers").open_bytes(row.content)


def test_it_is_read_after_its_secret_was_rotated_and_not_without_it(library):
    response_id = library.store()
    rotated = library.with_secrets(NEW, OLD).find(response_id, library.project_id)
    assert rotated is not None
    assert rotated.content == CONTENT
    with pytest.raises(ConfigurationError):
        library.with_secrets(NEW).find(response_id, library.project_id)


def test_without_a_life_nothing_is_kept(library):
    assert library.conversations.keeps
    never = library.with_secrets(OLD, life=timedelta(0))
    assert not never.keeps
    assert never.keep(fresh_id(), content=CONTENT) is None
    # What was kept before is still found: its life was promised.
    assert never.find(library.store(), library.project_id) is not None


def test_what_is_too_large_is_not_kept(library):
    assert library.conversations.seal(b"x" * MOST_BYTES) is not None
    assert library.conversations.seal(b"x" * (MOST_BYTES + 1)) is None
    assert library.conversations.keep("resp_1", content=b"x" * (MOST_BYTES + 1)) is None


@pytest.mark.parametrize("response_id", ["", "nul\x00", "\ud800", "two words", "x" * 201])
def test_what_no_url_could_name_is_not_kept(library, response_id):
    assert library.conversations.keep(response_id, content=None) is None
