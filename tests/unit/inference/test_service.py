"""The path of a call from its body to a posted answer, with a provider from a script."""

from __future__ import annotations

import json
import logging
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr

from tests.unit.inference.fakes import (
    PRICE,
    RecordingMetrics,
    RecordingTeller,
    ScriptedAnswer,
    Step,
    context,
    conversations,
    store,
)
from tests.unit.inference.serving import json_of
from torana.dialects.openai_chat import OPENAI_CHAT
from torana.errors import (
    BudgetExceeded,
    Draining,
    InternalError,
    InvalidRequest,
    ModelNotFound,
    ToranaError,
    UpstreamCut,
    UpstreamError,
    UpstreamGarbage,
    UpstreamOverloaded,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from torana.inference.answers import JsonAnswer, StreamAnswer
from torana.inference.asking import CallPolicy
from torana.inference.cache import AnswerCache
from torana.inference.health import Health
from torana.inference.limits import Limits
from torana.inference.retry import RetryPolicy
from torana.inference.service import InferenceService
from torana.inference.stored_responses import StoredResponses
from torana.ledger.bounds import CALL_TOKENS
from torana.ledger.records import Status
from torana.outbound.client import Answer, HttpClient, Timeouts
from torana.providers import ProviderConfig, Sending
from torana.providers.openai import CompatibleProvider
from torana.providers.upstreams import Upstreams
from torana.routing.catalog import Catalog, ProviderEntry
from torana.routing.routes import single

JSON = {"content-type": "application/json", "x-request-id": "theirs"}
ANSWER = {
    "model": "/srv/real-name.gguf",
    "choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 5},
}
COST = 10 + 15
CATALOG = Catalog(
    providers={"fake": ProviderEntry(name="fake", kind="compatible")},
    routes={
        "small": single("small", "fake", "small-7b", max_output=100),
        "orphan": single("orphan", "gone", "m"),
    },
    prices={("fake", "*"): PRICE},
)


class FakeProvider(CompatibleProvider):
    """Answers each try as the next item says: an error, or the steps of an answer's body."""

    def __init__(self, *tries: Exception | list[Step], rewrites: bool = False) -> None:
        super().__init__(
            ProviderConfig(
                name="fake", kind="compatible", base_url="", rewrites_model=rewrites, private=True
            )
        )
        self.tries = list(tries)
        self.bodies: list[dict[str, Any]] = []
        self.attempts: list[int] = []
        self.answers: list[ScriptedAnswer] = []
        self.sends = True
        self.meanwhile: Any = lambda: None
        self.headers = JSON

    def send(self, http: HttpClient, sending: Sending) -> Answer:
        del http
        exchange = sending.exchange
        self.bodies.append(json_of(sending))
        self.attempts.append(sending.attempt)
        exchange.sent = exchange.sent or self.sends
        self.meanwhile()
        step = self.tries.pop(0)
        if isinstance(step, Exception):
            raise step
        answer = ScriptedAnswer(exchange, *step, headers=self.headers)
        self.answers.append(answer)
        return answer


class Service:
    """An inference service around a provider."""

    def __init__(
        self,
        provider: FakeProvider,
        attempts: int = 3,
        *,
        retry_uncertain: bool = False,
        catalog: Catalog = CATALOG,
    ) -> None:
        self.provider = provider
        self.teller = RecordingTeller()
        self.metrics = RecordingMetrics()
        self.inference = InferenceService(
            upstreams=lambda: Upstreams(catalog, {"fake": provider}),
            teller=self.teller,
            http=HttpClient(),
            metrics=self.metrics,
            limits=Limits(
                timeouts=Timeouts(connect=1, first_byte=1, idle=1),
                retry=RetryPolicy(attempts=attempts, base=0.0),
                total=600,
                drain=60,
            ),
            policy=CallPolicy(retry_uncertain=retry_uncertain),
            answers=store(),
            responses=StoredResponses(conversations()),
            health=Health(),
            cache=AnswerCache(None, [SecretStr("s" * 32)]),
        )

    def chat(
        self, *, link: Any = None, tries_before: int = 0, principal: Any = None, **fields: Any
    ) -> Any:
        body = {"model": "small", "messages": [{"role": "user", "content": "hi"}], **fields}
        values = {} if principal is None else {"principal": principal}
        return self.inference.answer(
            OPENAI_CHAT,
            json.dumps(body).encode(),
            context(link, tries_before=tries_before, **values),
        )

    def fails(self, kind: type[ToranaError], **fields: Any) -> ToranaError:
        with pytest.raises(kind) as caught:
            self.chat(**fields)
        assert self.inference.open_calls == 0
        return caught.value


def served(*tries: Exception | list[Step], attempts: int = 3, rewrites: bool = False) -> Service:
    return Service(FakeProvider(*tries, rewrites=rewrites), attempts)


def body(**fields: Any) -> list[Step]:
    return [json.dumps({**ANSWER, **fields}).encode()]


def test_a_json_answer_is_posted_and_says_what_it_cost_and_who_gave_it():
    service = served(body())
    answer = service.chat()
    assert isinstance(answer, JsonAnswer)
    assert json.loads(answer.body) == ANSWER
    assert answer.headers == {
        "x-torana-cache": "bypass",
        "x-torana-provider": "fake",
        "x-torana-model": "small-7b",
        "x-torana-cost-usd": "0.000000025",
    }
    settlement = service.teller.settlement
    assert (settlement.status, settlement.cost_nano) == (Status.OK, COST)
    assert settlement.provider_request_id == "theirs"
    assert service.provider.answers[0].closed == 1
    assert service.inference.open_calls == 0


def test_what_is_admitted_is_who_what_and_the_bound():
    service = served(body())
    service.chat(max_tokens=7, n=2)
    (record,) = service.teller.admitted
    assert (record.call_id, record.route) == ("req_1", "openai.chat.completions")
    assert (record.model, record.provider, record.target_model) == ("small", "fake", "small-7b")
    assert (record.organisation_id, record.project_id) == ("org_1", "proj_1")
    assert (record.key_id, record.account_ids) == ("key_1", ("bal_1",))
    assert record.price_id == "price_1"
    (ask,) = service.teller.asked
    assert (ask.priced, ask.suspended, ask.claim) == (True, False, None)
    # Each byte of a message at the dearest input rate, each token of output at the dearest rate.
    message = len(json.dumps([{"role": "user", "content": "hi"}]))
    assert ask.bound.nano() == (message + CALL_TOKENS) * 2 + 7 * 2 * 3
    assert (ask.bound.output, ask.bound.capped) == (7, False)


def test_the_models_own_limit_bounds_a_request_without_one():
    service = served(body())
    service.chat()
    assert service.teller.asked[0].bound.output == 100
    assert service.teller.bound_nano < 1000


def test_the_provider_gets_its_own_name_of_the_model():
    service = served(body())
    service.chat(future=[1])
    assert service.provider.bodies[0]["model"] == "small-7b"
    assert service.provider.bodies[0]["future"] == [1]


def test_a_provider_whose_names_mean_nothing_shows_the_asked_one():
    answer = served(body(), rewrites=True).chat()
    assert json.loads(answer.body)["model"] == "small"


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"model": "nobody/x"}, ModelNotFound),
        ({"model": ""}, InvalidRequest),
        ({"n": 0}, InvalidRequest),
    ],
)
def test_what_can_not_be_called_is_refused_before_any_money_is_reserved(fields, kind):
    service = served()
    service.fails(kind, **fields)
    assert service.teller.admitted == []


def test_the_list_of_models_that_a_caller_was_shown_judges_nothing():
    service = served(body())
    shown = msgspec.structs.replace(context().principal, models=("tiny",))
    service.chat(principal=shown)  # It may be a second old; the ledger's rows know better.
    assert len(service.teller.admitted) == 1


def test_a_refused_call_reaches_no_provider():
    service = served(body())
    service.teller.refusals = [BudgetExceeded("spent")]
    service.fails(BudgetExceeded)
    assert service.provider.bodies == []
    assert service.teller.posts == []


def test_a_route_to_a_provider_that_is_not_there_leaves_no_reservation():
    service = served()
    with pytest.raises((ToranaError, KeyError)):
        service.chat(model="orphan")
    assert len(service.teller.posts) == len(service.teller.admitted)
    assert service.inference.open_calls == 0


def test_what_was_not_processed_is_tried_again_and_each_try_is_recorded():
    service = served(UpstreamUnreachable("no"), UpstreamOverloaded("busy", retry_after=0), body())
    assert isinstance(service.chat(tries_before=2), JsonAnswer)
    attempts = service.teller.settlement.attempts
    assert [attempt["outcome"] for attempt in attempts] == [
        "upstream_unreachable",
        "upstream_overloaded",
        "answered",
    ]
    assert [attempt["cost_nano"] for attempt in attempts] == [0, 0, COST]
    # The SDK's own tries count on, so that a scripted provider knows which one this is.
    assert service.provider.attempts == [3, 4, 5]
    assert len(service.teller.posts) == 1


def test_after_the_last_try_the_error_is_the_callers():
    service = served(*[UpstreamOverloaded("busy")] * 3, attempts=3)
    service.fails(UpstreamOverloaded)
    assert len(service.provider.bodies) == 3
    assert service.teller.settlement.cost_nano == 0


@pytest.mark.parametrize(
    ("error", "costs_bound"),
    [
        (UpstreamTimeout("slow"), True),
        (UpstreamCut("cut"), True),
        (UpstreamRejected("no", status=400), False),
        (UpstreamError("500"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_failure_is_tried_once_and_costs_its_bound_if_it_may_have_been_processed(
    error, costs_bound
):
    service = served(error, body())
    service.fails(type(error))
    assert len(service.provider.bodies) == 1
    bound = service.teller.bound_nano
    assert service.teller.settlement.cost_nano == (bound if costs_bound else 0)
    assert service.teller.settlement.error_code == error.code


def test_a_caller_that_has_gone_is_not_tried_for_again():
    service = served(UpstreamOverloaded("busy"), body())
    scene_link = context().link
    service.provider.meanwhile = lambda: setattr(scene_link, "is_gone", True)
    service.fails(UpstreamOverloaded, link=scene_link)
    assert len(service.provider.bodies) == 1
    assert service.teller.settlement.status == Status.CANCELLED


@pytest.mark.parametrize(
    ("steps", "kind"),
    [
        ([b"<html>"], UpstreamGarbage),
        ([b'{"choices": [', UpstreamCut("cut")], UpstreamCut),
        ([UpstreamTimeout("slow")], UpstreamTimeout),
    ],
)
def test_an_answer_that_can_not_be_read_costs_its_bound_and_is_closed(steps, kind):
    service = served(steps)
    service.fails(kind)
    assert service.teller.settlement.cost_nano == service.teller.bound_nano
    assert service.provider.answers[0].closed >= 1


def test_an_error_under_a_success_status_costs_nothing():
    service = served([b'{"error": {"message": "no"}}'])
    service.fails(UpstreamError)
    assert service.teller.settlement.cost_nano == 0


@pytest.mark.parametrize("sent", [True, False])
def test_what_breaks_in_torana_is_settled(sent):
    service = served(ValueError("broken"))
    service.provider.sends = sent
    with pytest.raises(ValueError, match="broken"):
        service.chat()
    bound = service.teller.bound_nano
    assert service.teller.settlement.cost_nano == (bound if sent else 0)
    assert service.teller.settlement.error_code == InternalError.code
    assert service.inference.open_calls == 0


def test_a_stopping_process_tells_its_callers_so():
    service = served(UpstreamCut("the connection was shut down"))
    draining = Draining("stopping")
    service.provider.meanwhile = lambda: service.inference.stop_open_calls(draining)
    assert service.fails(Draining) is draining
    assert service.teller.settlement.error_code == "server_shutdown"


def test_a_stopped_call_is_not_tried_again():
    service = served(UpstreamUnreachable("no"), body())
    service.provider.meanwhile = lambda: service.inference.stop_open_calls(Draining("stopping"))
    service.fails(Draining)
    assert len(service.provider.bodies) == 1


def test_a_stream_is_open_until_it_is_settled():
    service = served([b'data: {"choices":[{"finish_reason":"stop"}]}\n\n', b"data: [DONE]\n\n"])
    service.provider.headers = {"content-type": "text/event-stream; charset=utf-8"}
    answer = service.chat(stream=True)
    assert isinstance(answer, StreamAnswer)
    assert answer.headers == {
        "x-torana-provider": "fake",
        "x-torana-model": "small-7b",
        "x-torana-cache": "bypass",
    }
    assert (service.inference.open_calls, service.metrics.opened) == (1, 1)
    assert service.teller.posts == []
    assert b"".join(answer.frames).endswith(b"data: [DONE]\n\n")
    answer.frames.close()
    assert service.inference.open_calls == 0
    assert service.teller.settlement.streamed
    assert service.provider.bodies[0]["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("content_type", ["application/json", "text/html", ""])
def test_a_provider_that_does_not_stream_when_asked_to_is_an_error(content_type):
    service = served(body())
    service.provider.headers = {"content-type": content_type}
    service.fails(UpstreamGarbage, stream=True)
    assert service.provider.answers[0].closed == 1
    assert len(service.teller.posts) == 1


def test_a_models_name_in_a_header_is_ascii():
    answer = served(body()).chat(model="fake/modèle\u00a0x".replace("\u00a0", " "))
    assert answer.headers["x-torana-model"].isascii()
    assert "\n" not in answer.headers["x-torana-model"]


def test_neither_prompt_nor_answer_is_in_the_log(caplog):
    secret_question, secret_answer = "qu3stion", "answ3r"
    with caplog.at_level(logging.DEBUG):
        served(body(choices=[{"message": {"content": secret_answer}}])).chat(user=secret_question)
        served([b"<html>" + secret_answer.encode()]).fails(UpstreamGarbage, user=secret_question)
    shown = " ".join(str(vars(record)) for record in caplog.records)
    assert secret_question not in shown
    assert secret_answer not in shown
