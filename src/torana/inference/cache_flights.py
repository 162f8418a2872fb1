"""Identical calls of one process that are in flight: one leads, the others wait for its answer.

It knows nothing of Redis, and of calls only their names.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable
from typing import Generic, TypeVar

A = TypeVar("A")


class Place(Generic[A]):
    """The place of one call among the identical ones.

    Attributes:
        leads: it is this call that goes on; it becomes true for a follower whose leader has left.
        answer: what the leader got.
        alone: there will be no answer for those who wait; each goes on by itself.
    """

    def __init__(self, flights: Flights[A], name: Hashable, *, leads: bool) -> None:
        self._flights = flights
        self._name = name
        self._changed = threading.Event()
        self.leads = leads
        self.answer: A | None = None
        self.alone = False

    def wait(self, seconds: float) -> None:
        """Wait until something has changed, or until the time is over."""
        if self._changed.wait(seconds):
            self._changed.clear()

    def wake(self) -> None:
        """End the wait of this place."""
        self._changed.set()

    def land(self, answer: A | None) -> None:
        """The leader has an answer for all who wait, or None: each shall go on alone."""
        self._flights.land(self._name, self, answer)

    def leave(self) -> None:
        """Wait or lead no more: where this place leads, the one that has waited longest does now.

        Does nothing after `land`, and when it is done again.
        """
        self._flights.leave(self._name, self)


class _Flight(Generic[A]):
    def __init__(self, leader: Place[A]) -> None:
        self.leader = leader
        self.waiting: dict[Place[A], None] = {}
        """In the order in which they came."""


class Flights(Generic[A]):
    """All flights of a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flights: dict[Hashable, _Flight[A]] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def join(self, name: Hashable) -> Place[A]:
        """A place among the calls of a name; the first one leads."""
        with self._lock:
            flight = self._flights.get(name)
            place = Place(self, name, leads=flight is None)
            if flight is None:
                self._flights[name] = _Flight(place)
            else:
                flight.waiting[place] = None
        return place

    def land(self, name: Hashable, leader: Place[A], answer: A | None) -> None:
        """See `Place.land`."""
        with self._lock:
            flight = self._flights.get(name)
            if flight is None or flight.leader is not leader:
                return
            del self._flights[name]
            for place in flight.waiting:
                place.answer = answer
                place.alone = answer is None
        for place in flight.waiting:
            place.wake()

    def leave(self, name: Hashable, place: Place[A]) -> None:
        """See `Place.leave`."""
        with self._lock:
            flight = self._flights.get(name)
            if flight is None:
                return
            if flight.leader is not place:
                flight.waiting.pop(place, None)
                return
            following = next(iter(flight.waiting), None)
            if following is None:
                del self._flights[name]
                return
            del flight.waiting[following]
            flight.leader = following
            following.leads = True
        following.wake()
