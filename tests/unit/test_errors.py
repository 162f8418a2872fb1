"""The one tree of errors."""

from __future__ import annotations

import inspect
import logging
from collections import Counter

import pytest

from torana import errors
from torana.errors import ToranaError, UpstreamError, UpstreamRejected


def every(kind: type[ToranaError]) -> list[type[ToranaError]]:
    return [kind] + [below for sub in kind.__subclasses__() for below in every(sub)]


KINDS = [kind for kind in every(ToranaError) if kind.__module__.startswith(f"{errors.__name__}.")]
TOLD_TO_CALLERS = [kind for kind in KINDS if kind.__name__ != "CallerGone"]


def names(kinds: list[type[ToranaError]]) -> list[str]:
    return [kind.__name__ for kind in kinds]


def test_all_errors_of_the_module_are_in_the_tree():
    found = {
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, Exception)
    }
    assert found == set(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=names(KINDS))
def test_an_error_knows_its_status_code_kind_and_log_level(kind):
    assert 400 <= kind.status <= 599
    assert kind.code
    assert kind.code == kind.code.lower()
    assert kind.code.replace("_", "").isalnum()
    assert kind.kind
    assert len(kind.code) <= 64  # the ledger's column
    assert kind.should_retry in {None, True, False}
    assert kind.log_level in {logging.INFO, logging.WARNING, logging.ERROR}


def test_codes_are_shared_by_nothing_but_an_error_and_its_own_kind():
    """A code tells one cause; only an error that adds nothing of its own may share its parent's."""
    own = [kind for kind in KINDS if "code" in vars(kind)]
    repeated = [code for code, times in Counter(kind.code for kind in own).items() if times > 1]
    assert repeated == []
    assert set(KINDS) - set(own) <= {errors.InternalError, errors.UpstreamRejected}


@pytest.mark.parametrize("kind", KINDS, ids=names(KINDS))
def test_an_error_says_in_its_docstring_what_happened(kind):
    assert kind.__doc__ is not None
    assert kind.__doc__.strip()


@pytest.mark.parametrize("kind", TOLD_TO_CALLERS, ids=names(TOLD_TO_CALLERS))
def test_what_is_the_callers_fault_is_no_alarm_in_the_log(kind):
    if kind.status < 500 and not issubclass(kind, UpstreamError):
        assert kind.log_level == logging.INFO


def upstream_kinds() -> list[type[ToranaError]]:
    return [kind for kind in KINDS if issubclass(kind, UpstreamError)]


@pytest.mark.parametrize("kind", upstream_kinds(), ids=names(upstream_kinds()))
def test_what_may_have_been_processed_is_never_retryable(kind):
    assert not (kind.billable and kind.retryable)


def test_a_message_and_its_hint_are_read_together():
    assert ToranaError("Bad.").public_message == "Bad."
    assert ToranaError("Bad.", hint="Mend it.").public_message == "Bad. Mend it."


def test_an_error_carries_its_param_and_its_patience():
    error = ToranaError("Bad.", param="n", retry_after=1.5)
    assert (error.param, error.retry_after, str(error)) == ("n", 1.5, "Bad.")


def test_a_provider_s_own_refusal_is_passed_on():
    error = UpstreamRejected("No.", status=418, kind="teapot", provider_code="short", param="x")
    assert (error.status, error.kind, error.public_code) == (418, "teapot", "short")
    assert (error.code, error.param) == ("upstream_rejected", "x")


def test_a_provider_s_refusal_without_words_has_ours():
    error = UpstreamRejected("No.", status=400)
    assert (error.kind, error.code) == ("invalid_request_error", "upstream_rejected")
    assert error.should_retry is False
