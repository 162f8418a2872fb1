from hypothesis import given
from hypothesis import strategies as st

from torana.routing.health import HealthPolicy
from torana.routing.retry_budget import RetryBudget


def taken(budget: RetryBudget, tries: int) -> int:
    return sum(budget.take() for _ in range(tries))


def test_ten_repeats_are_there_at_the_start():
    assert taken(RetryBudget(HealthPolicy()), 50) == 10


def test_five_first_tries_earn_a_repeat():
    budget = RetryBudget(HealthPolicy())
    taken(budget, 10)
    for _ in range(4):
        budget.first_try()
    assert not budget.take()
    budget.first_try()
    assert budget.take()
    assert not budget.take()


def test_at_most_ten_are_saved():
    budget = RetryBudget(HealthPolicy())
    for _ in range(1000):
        budget.first_try()
    assert taken(budget, 50) == 10


@given(st.lists(st.booleans(), max_size=500))
def test_repeats_are_at_most_a_fifth_of_first_tries_and_ten(story):
    budget = RetryBudget(HealthPolicy())
    tries = repeats = 0
    for first in story:
        if first:
            budget.first_try()
            tries += 1
        else:
            repeats += budget.take()
    assert repeats <= 10 + tries / 5


def test_the_numbers_are_the_policys():
    budget = RetryBudget(HealthPolicy(repeats_saved=2, repeats_earned=0.5))
    assert taken(budget, 5) == 2
    budget.first_try()
    budget.first_try()
    assert taken(budget, 5) == 1
