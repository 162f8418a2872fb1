import pytest

from torana import errors
from torana.errors import (
    CallerGone,
    Draining,
    InternalError,
    LedgerUnavailable,
    NoTargetAvailable,
    ProviderGone,
    ToranaError,
    TranslationLoss,
    UpstreamAuth,
    UpstreamCut,
    UpstreamError,
    UpstreamForbidden,
    UpstreamGarbage,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from torana.routing.verdicts import verdict_of


@pytest.mark.parametrize(
    "kind",
    [
        UpstreamError,
        UpstreamUnreachable,
        UpstreamTimeout,
        UpstreamCut,
        UpstreamGarbage,
        UpstreamForbidden,
        UpstreamAuth,
        UpstreamOverloaded,
    ],
)
def test_what_the_target_is_at_fault_for_is_a_failure(kind):
    assert verdict_of(kind("x")) == "failure"


def test_a_good_end_is_a_success():
    assert verdict_of(None) == "success"


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_a_provider_that_refuses_a_request_works(status):
    assert verdict_of(UpstreamRejected("x", status=status)) == "success"


@pytest.mark.parametrize(
    "error",
    [
        CallerGone("x"),
        Draining("x"),
        InternalError("x"),
        LedgerUnavailable("x"),
        TranslationLoss(("x",)),
        NoTargetAvailable("x"),
        ProviderGone("x"),
    ],
)
def test_what_it_is_not_at_fault_for_says_nothing(error):
    assert verdict_of(error) == "neutral"


@pytest.mark.parametrize("cooldown", [None, 3.0])
def test_a_rate_limit_cools(cooldown):
    error = UpstreamRateLimited("x")
    error.cooldown = cooldown
    assert verdict_of(error) == "cooling"


def test_an_overload_that_names_a_time_cools():
    error = UpstreamOverloaded("x")
    error.cooldown = 3.0
    assert verdict_of(error) == "cooling"


@pytest.mark.parametrize("kind", [UpstreamRateLimited, UpstreamAuth])
def test_what_another_key_may_mend_says_nothing(kind):
    error = kind("x")
    error.other_key = True
    assert verdict_of(error) == "neutral"


def test_every_error_of_the_tree_has_a_verdict():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    found: dict[bool, set[str]] = {True: set(), False: set()}
    for kind in kinds:
        if issubclass(kind, ToranaError):
            error = ToranaError.__new__(kind)
            found[isinstance(error, UpstreamError)].add(verdict_of(error))
    assert found == {
        True: {"success", "failure", "cooling", "neutral"},
        False: {"neutral"},
    }
