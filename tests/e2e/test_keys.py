"""Who may come in: keys that are wrong, revoked, limited to models, or of another project."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import openai
import pytest

from tests.contract.fake_upstream import FakeUpstream
from tests.e2e.checks import openai_error, problem
from tests.e2e.constants import OTHER_PROJECT, PROMPT, SDK_SECONDS
from tests.support.server import Reply, RunningServer
from torana.auth import api_keys

ROUTES = [
    ("POST", "/v1/chat/completions"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/echo"),
    ("GET", "/api/me"),
    ("GET", "/api/models"),
    ("GET", "/api/usage"),
    ("GET", "/api/ledger"),
    ("GET", "/api/ledger/req_01h455vb4pex5vsknk084sn02q"),
]
NEVER_ISSUED = api_keys.generate().text


def _credentials() -> Iterator[tuple[str, dict[str, str]]]:
    yield "none", {}
    yield "unknown", {"authorization": f"Bearer {NEVER_ISSUED}"}
    yield "unknown as x-api-key", {"x-api-key": NEVER_ISSUED}
    yield "mistyped", {"authorization": f"Bearer {NEVER_ISSUED[:-1]}!"}
    yield "cut off", {"authorization": f"Bearer {NEVER_ISSUED[:20]}"}
    yield "another service's", {"authorization": "Bearer sk-proj-abcdefghijklmnop"}
    yield "empty", {"authorization": "Bearer "}
    yield "not a bearer", {"authorization": f"Basic {NEVER_ISSUED}"}
    yield "not ASCII", {"authorization": "Bearer sk-tor-\xe9\xff"}


CREDENTIALS = dict(_credentials())


@dataclass(frozen=True)
class Key:
    """A key made through the command line."""

    id: str
    text: str


def make_key(server: RunningServer, name: str, *more: str, project: str = "default") -> Key:
    """Make a key as an administrator does."""
    made = json.loads(
        server.torana("keys", "create", "--project", project, "--name", name, *more, "--json")
    )
    return Key(made["id"], made["key"])


def _knock(server: RunningServer, method: str, path: str, **headers: dict[str, str]) -> Reply:
    body = b"this is not even JSON" if method == "POST" else None
    return server.request(method, path, body, key="", **headers)


@pytest.mark.parametrize("credential", CREDENTIALS)
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_bad_credential_is_refused_before_anything_else_is_looked_at(
    server: RunningServer, method: str, path: str, credential: str
):
    reply = _knock(server, method, path, headers=CREDENTIALS[credential])
    assert reply.status == 401
    assert reply.headers["www-authenticate"].startswith("Bearer")
    if path.startswith("/v1/"):
        error = openai_error(reply)
        assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_api_key")
        assert error["param"] is None
        told = error["message"]
    else:
        body = problem(reply)
        assert body["code"] == "invalid_api_key"
        told = body["detail"]
    assert NEVER_ISSUED[:20] not in told


def test_a_revoked_key_is_refused_at_once_by_every_process(server: RunningServer):
    key = make_key(server, "to be revoked")
    call = {"model": "echo", "messages": [{"role": "user", "content": PROMPT}]}
    routes = [route for route in ROUTES if not route[1].startswith("/api/ledger/")]

    def answers() -> list[tuple[str, Reply]]:
        # Often enough to meet both processes, each of which has the key in its cache by then.
        return [
            (path, server.request(method, path, call if method == "POST" else None, key=key.text))
            for _ in range(4)
            for method, path in routes
        ]

    assert {reply.status for _, reply in answers()} == {200}
    server.torana("keys", "revoke", key.id)
    for path, reply in answers():
        assert reply.status == 401, path
        code = openai_error(reply)["code"] if path.startswith("/v1/") else problem(reply)["code"]
        assert code == "api_key_revoked", path
    # A refused call consumes nothing.
    assert len([row for row in server.ledger() if row["key_id"] == key.id]) == 4


def test_a_key_with_a_list_of_models_sees_and_calls_only_those(
    server: RunningServer, upstream: FakeUpstream
):
    allowed, other = upstream.model(), upstream.model()
    key = make_key(server, "limited", "--models", f"echo, {allowed}")
    assert server.get("/api/me", key=key.text)["models"] == ["echo", allowed]
    with openai.OpenAI(
        base_url=f"{server.url}/v1", api_key=key.text, max_retries=0, timeout=SDK_SECONDS
    ) as client:
        assert [model.id for model in client.models.list()] == ["echo"]
        for model in ("echo", allowed):
            client.chat.completions.create(
                model=model, messages=[{"role": "user", "content": PROMPT}]
            )
        # Neither another name, nor a detour to an allowed one.
        for model, error, code in (
            (other, openai.PermissionDeniedError, "model_not_allowed"),
            ("echo/echo", openai.PermissionDeniedError, "model_not_allowed"),
            (f"openai/{allowed}", openai.PermissionDeniedError, "model_not_allowed"),
            ("echo/delay_ms=1", openai.PermissionDeniedError, "model_not_allowed"),
            ("ECHO", openai.NotFoundError, "model_not_found"),
            ("echo ", openai.NotFoundError, "model_not_found"),
        ):
            with pytest.raises(error) as failure:
                client.chat.completions.create(
                    model=model, messages=[{"role": "user", "content": PROMPT}]
                )
            assert failure.value.code == code
    assert upstream.seen(other) == []
    assert len(upstream.seen(allowed)) == 1


def test_a_key_of_another_project_cannot_see_a_call(server: RunningServer):
    ours = server.chat("echo", PROMPT)
    other = make_key(server, "of the others", project=OTHER_PROJECT)
    hidden = server.request("GET", f"/api/ledger/{ours.request_id}", key=other.text)
    assert hidden.status == 404
    never = server.request("GET", f"/api/ledger/{'req_' + '0' * 26}", key=other.text)
    # The answer doesn't tell a call of others from one that never was.
    assert problem(hidden)["code"] == problem(never)["code"] == "not_found"
    theirs = server.request(
        "POST",
        "/v1/chat/completions",
        {"model": "echo", "messages": [{"role": "user", "content": PROMPT}]},
        key=other.text,
    )
    assert [row["request_id"] for row in server.ledger(key=other.text)] == [theirs.request_id]
    assert theirs.request_id not in {row["request_id"] for row in server.ledger()}
    (group,) = server.get("/api/usage?group_by=key", key=other.text)["data"]
    assert (group["group"], group["calls"]) == ({"key": other.id}, 1)
