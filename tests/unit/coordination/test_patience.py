from torana.coordination.patience import Patience


def test_what_has_not_failed_may_be_asked_by_all():
    patience = Patience()
    assert all(patience.may_ask(0.0) for _ in range(10))


def test_after_a_failure_nobody_asks_for_half_a_second_and_then_one():
    patience = Patience()
    patience.failed(10.0)
    assert not patience.may_ask(10.49)
    assert patience.may_ask(10.5)
    assert not patience.may_ask(10.5)
    patience.succeeded()
    assert all(patience.may_ask(10.5) for _ in range(10))


def test_the_pause_grows_to_five_seconds():
    patience = Patience()
    now, pauses = 0.0, []
    for _ in range(6):
        patience.failed(now)
        began = now
        while not patience.may_ask(now):
            now += 0.125
        pauses.append(now - began)
    assert pauses == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


def test_those_who_asked_together_fail_once():
    patience = Patience()
    for _ in range(20):
        patience.failed(10.0)
    assert patience.failures == 1
    assert patience.may_ask(10.5)


def test_one_who_learns_nothing_lets_the_next_ask():
    patience = Patience()
    patience.failed(0.0)
    assert patience.may_ask(0.5)
    patience.abandoned()
    assert patience.may_ask(0.5)


def test_it_fails_for_a_week():
    patience = Patience()
    for number in range(200_000):
        patience.failed(number * 5.0)
    assert patience.may_ask(1_000_000.0)
