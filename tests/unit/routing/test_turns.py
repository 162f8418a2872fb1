from torana.routing.turns import GRANT_SECONDS, LEASE_SECONDS, UNCLAIMED_SECONDS, Turn


def test_the_first_call_asks_for_the_lease_and_is_refused():
    turn = Turn()
    assert not turn.wanted(10.0)
    assert not turn.may_probe(10.0, free_since=10.0)
    assert turn.wanted(10.0)
    assert not turn.wanted(10.0 + LEASE_SECONDS)


def test_with_the_lease_calls_may_probe_until_it_ends():
    turn = Turn()
    turn.granted(10.0, 1.5)
    assert turn.may_probe(11.4, free_since=10.0)
    assert not turn.may_probe(11.5, free_since=10.0)


def test_while_another_process_has_it_they_may_not():
    turn = Turn()
    turn.granted(10.0, 1.5)
    turn.elsewhere(10.1, 2.0)
    assert not turn.may_probe(10.2, free_since=0.0)
    assert not turn.may_probe(12.1 + UNCLAIMED_SECONDS - 0.01, free_since=0.0)


def test_where_nobody_has_tried_for_a_while_a_call_needs_no_lease():
    assert Turn().may_probe(10.0 + UNCLAIMED_SECONDS, free_since=10.0)
    turn = Turn()
    turn.elsewhere(10.0, 2.0)
    assert turn.may_probe(12.0 + UNCLAIMED_SECONDS, free_since=0.0)


def test_nobody_is_told_to_wait_for_a_lease_that_nobody_has_asked_for():
    assert Turn().wait(10.0, free_since=10.0) == 0.0


def test_who_asked_for_the_lease_waits_a_little_for_it():
    turn = Turn()
    turn.may_probe(10.0, free_since=10.0)
    assert turn.wait(10.1, free_since=10.0) == GRANT_SECONDS
    turn.granted(10.2, 1.5)
    assert turn.wait(10.3, free_since=10.0) == 0.0


def test_one_waits_for_the_probe_of_another_process():
    turn = Turn()
    turn.elsewhere(10.0, 2.0)
    assert turn.wait(11.9, free_since=10.0) == GRANT_SECONDS
    assert turn.wait(12.1, free_since=10.0) == 0.0


def test_one_does_not_wait_for_what_nobody_claims():
    turn = Turn()
    turn.may_probe(11.5, free_since=10.0)
    assert turn.wait(12.0, free_since=10.0) == 0.0
