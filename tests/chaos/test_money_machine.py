"""The books are right after every step, whatever calls, processes, budgets and clocks do."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.chaos.money_machine import Money


class AuditedMoney(Money):
    """The whole books are verified after every single step."""

    steps_between_audits = 1


def test_the_books_agree_with_a_model_after_every_step(is_long):
    run_state_machine_as_test(
        AuditedMoney if is_long else Money,
        settings=settings(
            max_examples=2000 if is_long else 15,
            stateful_step_count=60 if is_long else 25,
            deadline=None,
            derandomize=not is_long,
            suppress_health_check=list(HealthCheck),
        ),
    )
