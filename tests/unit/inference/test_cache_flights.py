"""Places among identical calls; that a waiting one is woken is in the integration tests."""

from torana.inference.cache_flights import Flights, Place


def test_the_first_leads_and_the_others_wait():
    flights: Flights[str] = Flights()
    places = [flights.join("a") for _ in range(3)]
    assert [place.leads for place in places] == [True, False, False]
    assert flights.join("b").leads


def test_an_answer_reaches_all_who_wait_and_ends_the_flight():
    flights: Flights[str] = Flights()
    leader, *waiting = [flights.join("a") for _ in range(3)]
    leader.land("answer")
    assert [place.answer for place in waiting] == ["answer", "answer"]
    assert not any(place.alone for place in waiting)
    assert len(flights) == 0
    assert flights.join("a").leads


def test_a_leader_without_an_answer_for_others_sends_each_on_its_way():
    flights: Flights[str] = Flights()
    leader, *waiting = [flights.join("a") for _ in range(3)]
    leader.land(None)
    assert [place.alone for place in waiting] == [True, True]
    assert not any(place.leads for place in waiting)


def test_when_the_leader_leaves_the_one_that_waited_longest_leads():
    flights: Flights[str] = Flights()
    leader, second, third = (flights.join("a") for _ in range(3))
    leader.leave()
    assert (second.leads, third.leads) == (True, False)
    leader.leave()
    leader.land("too late")
    assert (third.leads, third.answer) == (False, None)
    second.leave()
    assert third.leads
    third.leave()
    assert len(flights) == 0


def test_one_that_waits_no_more_is_passed_over():
    flights: Flights[str] = Flights()
    leader, second, third = (flights.join("a") for _ in range(3))
    second.leave()
    leader.leave()
    assert (second.leads, third.leads) == (False, True)


def test_one_that_leads_without_knowing_it_passes_it_on():
    flights: Flights[str] = Flights()
    leader, second, third = (flights.join("a") for _ in range(3))
    leader.leave()
    second.leave()  # It was given up in the moment in which it was told.
    assert third.leads


def test_leaving_after_landing_leaves_the_next_flight_alone():
    flights: Flights[str] = Flights()
    leader = flights.join("a")
    leader.land("answer")
    following = flights.join("a")
    waiting = flights.join("a")
    leader.leave()
    assert following.leads
    assert not waiting.leads


def test_a_wait_ends_at_once_when_something_has_changed_before():
    place: Place[str] = Flights[str]().join("a")
    place.wake()
    place.wait(3600)
