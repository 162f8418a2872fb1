import msgspec
import pytest

from torana.coordination.health_table import entry_of, field_of, news_of, over
from torana.routing.health import HealthNews

OPEN = HealthNews(
    provider="openai",
    model='odd "name" é/\n',
    kind="open",
    wait=4.5,
    age=0.25,
    opens=2,
    reason="upstream_timeout",
)
NOW = 1_700_000_000_000


def written(news: HealthNews = OPEN) -> tuple[bytes, bytes]:
    return field_of(news), entry_of(news, owner="one", now=NOW)


def test_another_process_reads_what_was_written():
    assert news_of(*written(), owner="other", now=NOW) == OPEN


def test_time_passes_between():
    news = news_of(*written(), owner="other", now=NOW + 1000)
    assert news is not None
    assert (news.wait, news.age) == (3.5, 1.25)


def test_a_clock_that_is_set_back_harms_nobody():
    news = news_of(*written(), owner="other", now=NOW - 3_600_000)
    assert news is not None
    assert news.age == 0.0


def test_a_process_does_not_hear_itself():
    assert news_of(*written(), owner="one", now=NOW) is None


def test_opening_and_closing_share_a_field_and_cooling_has_its_own():
    closed = msgspec.structs.replace(OPEN, kind="closed")
    cooling = msgspec.structs.replace(OPEN, kind="cooling")
    assert field_of(OPEN) == field_of(closed) != field_of(cooling)


@pytest.mark.parametrize("garbage", [b"", b"{}", b"[1]", b"\xff\xfe", b'{"owner":1}', b"null"])
def test_what_is_not_ours_is_not_heard_and_is_cleared_away(garbage):
    field, value = written()
    assert news_of(field, garbage, owner="other", now=NOW) is None
    assert news_of(garbage, value, owner="other", now=NOW) is None
    assert over({b"field": garbage}, NOW) == [b"field"]


def test_what_is_over_is_kept_for_a_minute():
    table = dict([written()])
    assert over(table, NOW + 64_500) == []
    assert over(table, NOW + 64_501) == list(table)


def test_only_names_states_and_codes_are_written():
    assert set(msgspec.json.decode(written()[1])) == {
        "owner",
        "kind",
        "until",
        "at",
        "opens",
        "reason",
    }
