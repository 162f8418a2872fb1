import pytest

from torana.errors import InvalidRequest
from torana.inference.cache_terms import (
    DEFAULT_SECONDS,
    CacheWish,
    cache_terms,
    read_wish,
)
from torana.routing.routes import MOST_CACHE_SECONDS, CacheTerms

ROUTE = CacheTerms(seconds=600, scope="organisation", max_bytes=1000)
ON, OFF = CacheWish(on=True), CacheWish(on=False)


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        (None, None),
        ("on", ON),
        ("off", OFF),
        (" On ", ON),
        ("60", CacheWish(on=True, seconds=60)),
        ("1", CacheWish(on=True, seconds=1)),
        ("2592000", CacheWish(on=True, seconds=MOST_CACHE_SECONDS)),
    ],
)
def test_a_header_says_a_wish(text: str | None, wish: CacheWish | None):
    assert read_wish(text) == wish


@pytest.mark.parametrize(
    "text", ["", "yes", "0", "-1", "1.5", "2592001", "9" * 5000, "6O", "٦٠", "60s", "no-store"]
)
def test_a_header_that_says_something_else_is_refused(text: str):
    with pytest.raises(InvalidRequest, match="'on', 'off' or whole seconds") as caught:
        read_wish(text)
    assert caught.value.param == "x-torana-cache"
    assert len(caught.value.message) < 200


def test_without_a_word_from_anybody_there_is_no_cache():
    assert cache_terms(None, route=None, key_seconds=None) is None


def test_the_route_counts_when_nobody_else_says_anything():
    assert cache_terms(None, route=ROUTE, key_seconds=None) == ROUTE


def test_a_key_counts_more_than_a_route():
    terms = cache_terms(None, route=ROUTE, key_seconds=900)
    assert terms == CacheTerms(seconds=900, scope="organisation", max_bytes=1000)
    assert cache_terms(None, route=ROUTE, key_seconds=0) is None


def test_a_key_alone_caches_for_its_project():
    assert cache_terms(None, route=None, key_seconds=60) == CacheTerms(seconds=60, scope="project")


def test_a_caller_can_always_do_without():
    assert cache_terms(OFF, route=ROUTE, key_seconds=60) is None


def test_a_caller_that_switches_on_gets_what_is_configured_or_the_default():
    alone = cache_terms(ON, route=None, key_seconds=None)
    assert alone == CacheTerms(seconds=DEFAULT_SECONDS, scope="project")
    assert cache_terms(ON, route=ROUTE, key_seconds=None) == ROUTE
    with_key = cache_terms(ON, route=ROUTE, key_seconds=90)
    assert with_key is not None
    assert with_key.seconds == 90


def test_a_caller_may_switch_on_what_its_key_has_off():
    assert cache_terms(ON, route=ROUTE, key_seconds=0) == ROUTE


def test_a_number_shortens_and_never_lengthens_what_is_configured():
    for seconds, expected in ((10, 10), (600, 600), (6000, 600)):
        terms = cache_terms(CacheWish(on=True, seconds=seconds), route=ROUTE, key_seconds=None)
        assert terms is not None
        assert (terms.seconds, terms.scope) == (expected, "organisation")
    terms = cache_terms(CacheWish(on=True, seconds=100), route=ROUTE, key_seconds=50)
    assert terms is not None
    assert terms.seconds == 50


def test_a_number_alone_is_for_the_project():
    terms = cache_terms(CacheWish(on=True, seconds=7200), route=None, key_seconds=None)
    assert terms == CacheTerms(seconds=7200, scope="project")


@pytest.mark.parametrize("key_seconds", [MOST_CACHE_SECONDS + 1, None])
def test_nothing_is_kept_beyond_thirty_days(key_seconds: int | None):
    route = CacheTerms(seconds=MOST_CACHE_SECONDS * 2)
    terms = cache_terms(None, route=route, key_seconds=key_seconds)
    assert terms is not None
    assert terms.seconds == MOST_CACHE_SECONDS
