"""Which providers are asked whether they are well, and what their answers mean."""

from __future__ import annotations

from typing import Any

import pytest

from torana.errors import ProviderGone, UpstreamError, UpstreamRejected, UpstreamUnreachable
from torana.inference.checking import Checking
from torana.outbound.client import HttpClient
from torana.providers import Provider, ProviderConfig, ProviderOptions
from torana.providers.check import CheckResult
from torana.providers.openai import CompatibleProvider
from torana.providers.upstreams import Upstreams
from torana.routing.catalog import Catalog
from torana.routing.routes import Route, RouteTarget, single


class Checked(CompatibleProvider):
    """Answers a check as it is told to."""

    failure: UpstreamError | None = None

    def check(self, http: HttpClient, *, key_id: str | None = None) -> CheckResult:
        del http, key_id
        return CheckResult(ok=self.failure is None, milliseconds=1, failure=self.failure)


def provider(name: str, seconds: int | None) -> Checked:
    options = ProviderOptions(check_seconds=seconds)
    return Checked(ProviderConfig(name=name, kind="compatible", base_url="", options=options))


def checking(*providers: Provider, **routes: Route) -> Checking:
    upstreams = Upstreams(
        Catalog(providers={}, routes=routes, prices={}),
        {one.config.name: one for one in providers},
    )
    nothing: Any = None
    return Checking(lambda: upstreams, nothing)


def test_only_those_that_ask_for_it_are_checked_with_their_models():
    targets = tuple(RouteTarget(provider=name, model=f"{name}-m") for name in ("a", "b"))
    found = checking(
        provider("a", 5),
        provider("b", None),
        both=Route(name="both", targets=targets),
        again=single("again", "a", "a-m"),
        other=single("other", "a", "a-other"),
    )
    (plan,) = found.plans()
    assert (plan.provider, plan.seconds, plan.models) == ("a", 5, ("a-m", "a-other"))


def test_a_failure_is_what_the_check_says():
    asked = provider("a", 5)
    asked.failure = UpstreamUnreachable("away")
    assert checking(asked).check("a") is asked.failure


@pytest.mark.parametrize("failure", [None, UpstreamRejected("no such path", status=404)])
def test_a_server_that_lists_no_models_but_answers_is_well(failure):
    asked = provider("a", 5)
    asked.failure = failure
    assert checking(asked).check("a") is None


def test_one_that_was_removed_meanwhile_is_told_as_such():
    with pytest.raises(ProviderGone):
        checking().check("a")
