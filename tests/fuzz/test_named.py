"""Bodies that are known to break servers, each with the clear answer that it must get."""

from __future__ import annotations

import http.client
from typing import Any

import pytest

from tests.fuzz.caller import PATHS, TIMEOUT_SECONDS, error_of, judge
from tests.fuzz.conftest import Fuzzed
from tests.fuzz.length import choose
from tests.fuzz.mutations import Literal, written
from tests.fuzz.seeds import SEEDS
from tests.fuzz.upstream import SANE
from tests.support.server import Reply

ROUTES = ("chat", "messages", "responses", "completions", "embeddings")
HOME = {"messages": "anthropic"}
"""Who speaks a route's own dialect; `openai` for the others."""
AWAY = {"chat": "anthropic", "messages": "openai", "responses": "anthropic"}
"""Who must be translated for."""
PROMPTS = {
    "chat": "messages",
    "messages": "messages",
    "responses": "input",
    "completions": "prompt",
    "embeddings": "input",
}
LIMITS = {
    "chat": "max_completion_tokens",
    "messages": "max_tokens",
    "responses": "max_output_tokens",
    "completions": "max_tokens",
}
LARGEST_BODY = 32 * 1024 * 1024
WAYS = [(route, HOME.get(route, "openai")) for route in ROUTES] + list(AWAY.items())
every_way = pytest.mark.parametrize(("route", "provider"), WAYS)


def good(route: str, provider: str, **changes: Any) -> dict[str, Any]:
    """A plain request; a change to `...` leaves a field out."""
    body = {**SEEDS[route][0], "model": f"{provider}/{SANE}", **changes}
    return {name: value for name, value in body.items() if value is not ...}


def prompt(route: str, text: Any) -> dict[str, Any]:
    """The field that has the prompt, with this text."""
    name = PROMPTS[route]
    return {name: [{"role": "user", "content": text}] if name == "messages" else text}


def post(fuzzed: Fuzzed, route: str, body: dict[str, Any] | bytes, **how: Any) -> Reply:
    """Send a body without a budget; the answer is judged."""
    data = body if isinstance(body, bytes) else written(body)
    reply = fuzzed.free.post(route, data, **how)
    judge(route, reply, sane=True)
    return reply


def refused(fuzzed: Fuzzed, route: str, body: dict[str, Any] | bytes, param: str | None) -> None:
    """A 400 that names what is at fault."""
    reply = post(fuzzed, route, body)
    assert reply.status == 400, reply
    assert error_of(route, reply)["param"] == param, reply


def nested(depth: int, kind: str) -> Literal:
    """A value that is nested so deep."""
    if kind == "lists":
        return Literal("[" * depth + "]" * depth)
    return Literal('{"a":' * depth + "1" + "}" * depth)


# --- depth and size ----------------------------------------------------------------------------


@every_way
def test_a_hundred_thousand_levels_are_a_400(fuzzed: Fuzzed, route: str, provider: str):
    for kind in ("lists", "objects"):
        deep = nested(100_000, kind)
        tool = {"type": "function", "function": {"name": "x", "parameters": deep}}
        for field in (PROMPTS[route], "metadata", "brand_new_field", "tools"):
            value = [tool] if field == "tools" else deep
            reply = post(fuzzed, route, good(route, provider, **{field: value}))
            assert reply.status == 400, reply


@pytest.mark.parametrize(("route", "provider"), choose([WAYS[0], *AWAY.items()][:2], WAYS))
def test_a_body_of_32_megabytes_is_read_and_one_byte_more_is_a_413(
    fuzzed: Fuzzed, route: str, provider: str
):
    frame = len(written(good(route, provider, **prompt(route, ""))))
    text = "x" * (LARGEST_BODY - frame)
    body = written(good(route, provider, **prompt(route, text)))
    assert len(body) == LARGEST_BODY
    for chunked in (False, True):
        assert post(fuzzed, route, body, chunked=chunked).status == 200
        too_much = post(fuzzed, route, body + b" ", chunked=chunked)
        assert too_much.status == 413, too_much


@every_way
def test_ten_thousand_messages_are_a_call(fuzzed: Fuzzed, route: str, provider: str):
    turns = [
        {"role": ("user", "assistant")[number % 2], "content": f"turn {number}"}
        for number in range(9_999)
    ]
    many: Any = turns if route in AWAY else ["word"] * 2_000
    reply = post(fuzzed, route, good(route, provider, **{PROMPTS[route]: many}))
    assert reply.status == 200, reply


@pytest.mark.parametrize(("route", "provider"), [way for way in WAYS if way[0] in AWAY])
def test_thousands_of_tools_are_a_call(fuzzed: Fuzzed, route: str, provider: str):
    schema = {"type": "object", "properties": {}}
    tool: dict[str, Any]
    tools = []
    for number in range(5_000):
        name = f"tool_{number}"
        if route == "chat":
            tool = {"type": "function", "function": {"name": name, "parameters": schema}}
        elif route == "messages":
            tool = {"name": name, "input_schema": schema}
        else:
            tool = {"type": "function", "name": name, "parameters": schema, "strict": False}
        tools.append(tool)
    reply = post(fuzzed, route, good(route, provider, tools=tools))
    assert reply.status == 200, reply


@every_way
def test_a_megabyte_in_every_text_is_a_clear_answer(fuzzed: Fuzzed, route: str, provider: str):
    rich = {**SEEDS[route][1], "model": f"{provider}/{SANE}", "stream": False}
    rich.pop("stream_options", None)
    for name, value in rich.items():
        if isinstance(value, str):
            reply = post(fuzzed, route, rich | {name: "m" * 1_000_000})
            if name == "model":
                assert (reply.status, error_of(route, reply)["param"]) == (400, "model")
    inner = _with_long_texts(rich[PROMPTS[route]])
    post(fuzzed, route, rich | {PROMPTS[route]: inner})


def _with_long_texts(value: Any) -> Any:
    """The same with long texts: a few of them, so that the body stays within its limit."""
    left = 12

    def longer(value: Any) -> Any:
        nonlocal left
        if isinstance(value, dict):
            return {name: longer(each) for name, each in value.items()}
        if isinstance(value, list):
            return [longer(each) for each in value]
        if isinstance(value, str) and left:
            left -= 1
            return value + "m" * 1_000_000
        return value

    return longer(value)


# --- text --------------------------------------------------------------------------------------


@every_way
def test_invalid_utf_8_is_a_400(fuzzed: Fuzzed, route: str, provider: str):
    body = written(good(route, provider, **prompt(route, "CUT")))
    for wrong in (b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\xc0\xaf"):
        refused(fuzzed, route, body.replace(b"CUT", wrong), None)
    for wrong in (b"\xff\xfe" + body, body.decode().encode("utf-16"), b"\x00" + body):
        refused(fuzzed, route, wrong, None)


@every_way
def test_half_of_a_surrogate_pair_is_a_clear_answer(fuzzed: Fuzzed, route: str, provider: str):
    for text in ('"\\ud800"', '"x \\udc00 \\ud83d y"', '"\\ud83d\\ude00 \\udfff"'):
        reply = post(fuzzed, route, good(route, provider, **prompt(route, Literal(text))))
        if provider == HOME.get(route, "openai"):
            assert reply.status == 200, reply  # It passes as it came.
        post(fuzzed, route, good(route, provider, user=Literal(text)))
        post(fuzzed, route, good(route, provider, metadata={"user_id": Literal(text)}))
        post(fuzzed, route, good(route, provider, tools=[{"type": Literal(text)}]))
        post(fuzzed, route, good(route, provider, model=Literal(text)))
        field = written(good(route, provider)).replace(b"{", b"{" + text.encode() + b":1,", 1)
        part = [{"role": "user", "content": [{"type": Literal(text), "text": "x"}]}]
        odd = good(route, provider, **{PROMPTS[route]: part})
        # Under a budget names are told in refusals.
        for body in (field, written(odd), written(good(route, provider, tools=[part[0]]))):
            post(fuzzed, route, body)
            judge(route, fuzzed.budgeted.post(route, body), sane=True)


# --- numbers -----------------------------------------------------------------------------------

NO_COUNTS: tuple[Any, ...] = (
    *(-1, 1.5, "5", True, [], {}, [5], 2**63, 2**64, 10**30),
    *(Literal("1e400"), Literal("-1e400"), Literal("1" + "0" * 400)),
)


@pytest.mark.parametrize(("route", "provider"), [way for way in WAYS if way[0] in LIMITS])
def test_an_absurd_limit_is_a_400_that_names_it(fuzzed: Fuzzed, route: str, provider: str):
    field = LIMITS[route]
    for number in NO_COUNTS:
        refused(fuzzed, route, good(route, provider, **{field: number}), field)


@every_way
def test_what_is_no_number_is_no_json(fuzzed: Fuzzed, route: str, provider: str):
    for number in ("NaN", "Infinity", "-Infinity", "01", "+1", ".5", "1.", "0x1"):
        refused(fuzzed, route, good(route, provider, temperature=Literal(number)), None)


@every_way
def test_absurd_numbers_elsewhere_are_a_clear_answer(fuzzed: Fuzzed, route: str, provider: str):
    for number in ("1e400", "-1e400", "1" + "0" * 400, "1e-400", "-0"):
        for field in ("temperature", "top_p", "seed", "n", "top_k", "dimensions"):
            post(fuzzed, route, good(route, provider, **{field: Literal(number)}))


# --- shapes ------------------------------------------------------------------------------------


@every_way
def test_a_field_that_is_there_twice_is_a_400_that_names_it(
    fuzzed: Fuzzed, route: str, provider: str
):
    body = written(good(route, provider))
    for name in ("model", PROMPTS[route]):
        twice = body[:-1] + b',"%b":"other"}' % name.encode()
        refused(fuzzed, route, twice, name)


@every_way
def test_nothing_at_all_is_a_400(fuzzed: Fuzzed, route: str, provider: str):
    for body in (b"", b" ", b"null", b"[]", b'""', b"0", b"{", b"}", b'{"', b"{}{}", b"[{}]"):
        refused(fuzzed, route, body, None)
    refused(fuzzed, route, b"{}", "model")
    refused(fuzzed, route, good(route, provider, model=""), "model")
    if route != "completions":  # OpenAI completes nothing, too.
        refused(fuzzed, route, good(route, provider, **{PROMPTS[route]: ...}), PROMPTS[route])
    for empty in EMPTY:
        post(fuzzed, route, good(route, provider, **{PROMPTS[route]: empty}))


EMPTY: tuple[Any, ...] = (None, "", [], {}, [[]], [{}], [None])
KINDS: tuple[Any, ...] = (None, True, 7, 1.5, "x", "", [], ["x"], [7], [[]], [{}], {}, {"x": 1})


@every_way
def test_a_wrong_type_in_any_field_is_a_clear_answer(fuzzed: Fuzzed, route: str, provider: str):
    rich = {**SEEDS[route][1], "model": f"{provider}/{SANE}"}
    cases = [(name, value) for name in rich for value in KINDS]
    for name, value in cases[:: choose(7, 1)]:
        judge(route, fuzzed.free.post(route, written(rich | {name: value})), sane=True)


@pytest.mark.parametrize("field", ["model", "stream"])
@every_way
def test_a_wrong_type_of_what_every_route_reads_is_named(
    fuzzed: Fuzzed, route: str, provider: str, field: str
):
    if (route, field) == ("embeddings", "stream"):
        pytest.skip("embeddings have no streams")
    values: tuple[Any, ...] = (7, "", "x\n", [], {}, ["x"], 1.5)
    for value in values:
        refused(fuzzed, route, good(route, provider, **{field: value}), field)


# --- transport ---------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ROUTES)
def test_a_body_in_chunks_is_read(fuzzed: Fuzzed, route: str):
    body = good(route, HOME.get(route, "openai"))
    assert post(fuzzed, route, body, chunked=True).status == 200


@pytest.mark.parametrize("route", PATHS)
@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data; boundary=x", ""])
def test_another_type_of_body_is_a_415(fuzzed: Fuzzed, route: str, kind: str):
    reply = fuzzed.free.post(route, b"{}", content_type=kind)
    assert reply.status == 415, reply
    error_of(route, reply)


STRANGE = (
    "x",
    "resp_",
    "resp_%00",
    "%ff%fe",
    "..%2f..%2fetc",
    "%F0%9F%8C%8D",
    "y" * 2_000,
    "a%0Ab",
)


@pytest.mark.parametrize("parent", ["/v1/responses", "/v1/models", "/v1/messages"])
@pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
def test_a_strange_id_is_a_clear_answer(fuzzed: Fuzzed, parent: str, method: str):
    for strange in STRANGE:
        connection = http.client.HTTPConnection(*fuzzed.free.address, timeout=TIMEOUT_SECONDS)
        key = {"authorization": f"Bearer {fuzzed.free.key}"}
        try:
            connection.request(method, f"{parent}/{strange}", headers=key)
            response = connection.getresponse()
            assert response.status in {400, 404, 405}, (strange, response.status)
            assert response.getheader("content-type", "").startswith("application/json")
            assert b'"error"' in response.read()
        finally:
            connection.close()


STRANGE_RESPONSES: tuple[Any, ...] = (
    "x",
    "",
    "resp_",
    "\0",
    "y" * 100_000,
    5,
    [],
    {},
    True,
    Literal('"\\ud800"'),
)


@pytest.mark.parametrize("provider", ["openai", "anthropic", "look"])
def test_a_strange_response_to_go_on_from_is_a_clear_answer(fuzzed: Fuzzed, provider: str):
    for strange in STRANGE_RESPONSES:
        body = good("responses", provider, previous_response_id=strange)
        reply = post(fuzzed, "responses", body)
        assert 400 <= reply.status < 500 or strange == "", reply


@pytest.mark.parametrize("path", PATHS.values())
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "TRACE"])
def test_another_method_is_no_html_page(fuzzed: Fuzzed, path: str, method: str):
    connection = http.client.HTTPConnection(*fuzzed.free.address, timeout=TIMEOUT_SECONDS)
    try:
        connection.request(method, path, headers={"authorization": f"Bearer {fuzzed.free.key}"})
        response = connection.getresponse()
        assert response.status == 405
        assert response.getheader("content-type", "").startswith("application/json")
        assert b'"error"' in response.read()
    finally:
        connection.close()
