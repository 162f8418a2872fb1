from itertools import pairwise

from torana.processes.child import Backoff


def waits(lives: list[float]) -> list[float]:
    backoff, found = Backoff(), []
    for lived in lives:
        wait, backoff = backoff.after(lived)
        found.append(wait)
    return found


def test_waits_double_up_to_the_longest() -> None:
    assert waits([0.1] * 9) == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_a_child_that_lived_long_starts_from_the_beginning() -> None:
    assert waits([1, 1, 1, 60, 1, 1]) == [0.5, 1, 2, 0.5, 1, 2]


def test_a_child_that_lived_almost_long_enough_goes_on_waiting_longer() -> None:
    found = waits([59.9] * 5)
    assert all(later == 2 * earlier for earlier, later in pairwise(found))
