"""Guardrails as rows, on both databases."""

from __future__ import annotations

import secrets
from typing import Any

import msgspec
import pytest
from sqlalchemy import delete, select

from torana.admin.guardrails import (
    GuardrailChange,
    GuardrailView,
    NewGuardrail,
    add_guardrail,
    guardrail_rows,
    list_guardrails,
    read_guardrail,
    remove_guardrail,
    try_guardrails,
    update_guardrail,
)
from torana.admin.tenancy import create_project
from torana.db.models import ConfigVersion, Guardrail, Project
from torana.db.session import Database
from torana.errors import Conflict, InternalError, InvalidRequest, NotFound


def name() -> str:
    return f"g-{secrets.token_hex(6)}"


def version(database: Database) -> int:
    with database.read() as session:
        return session.scalars(select(ConfigVersion.version)).one()


def add(database: Database, **changes: Any) -> GuardrailView:
    fields = {"name": name(), "kind": "mask"} | changes
    return add_guardrail(database, NewGuardrail(**fields))


def stored(database: Database, view: GuardrailView) -> dict[str, Any]:
    with database.read() as session:
        return session.get_one(Guardrail, view.id).terms


def test_a_guardrail_is_added_and_every_process_is_told_in_the_same_transaction(shared_database):
    before = version(shared_database)
    view = add(shared_database, options={"kinds": ["email"]}, models=("gpt-4*",), order=3)
    assert view.id.startswith("guard_")
    assert (view.kind, view.where, view.order, view.enabled) == ("mask", "prompt", 3, True)
    assert (view.models, view.projects, view.options) == (["gpt-4*"], None, {"kinds": ["email"]})
    assert version(shared_database) == before + 1
    assert read_guardrail(shared_database, view.name) == view


def test_projects_are_kept_by_id_and_shown_by_name(shared_database):
    project = create_project(shared_database, name=f"p-{secrets.token_hex(6)}")
    view = add(shared_database, projects=(project.name, project.id))
    assert view.projects == [project.name]
    assert stored(shared_database, view)["projects"] == [project.id]
    with pytest.raises(NotFound):
        add(shared_database, projects=("nowhere",))
    elsewhere = NewGuardrail(name=name(), kind="mask", projects=(project.name,))
    with pytest.raises(NotFound):
        add_guardrail(shared_database, elsewhere, organisation_id="org_other")


def test_a_project_that_is_gone_does_not_stand_in_the_way_of_a_change(shared_database):
    project = create_project(shared_database, name=f"p-{secrets.token_hex(6)}")
    view = add(shared_database, projects=(project.name,))
    with shared_database.write() as session:
        session.execute(delete(Project).where(Project.id == project.id))
    changed = update_guardrail(shared_database, view.name, GuardrailChange(order=1))
    assert (changed.projects, changed.order) == ([project.id], 1)


@pytest.mark.parametrize(
    ("changes", "param", "told"),
    [
        ({"name": "Not a name"}, "name", "begins with a letter"),
        ({"name": "x" * 64}, "name", "up to 63"),
        ({"kind": "masks"}, "kind", "Did you mean 'mask'?"),
        ({"where": "everywhere"}, "where", "prompt, answer, both"),
        ({"order": 1001}, "order", "between -1000 and 1000"),
        ({"models": ()}, "models", "without it the guardrail is for all"),
        ({"models": ("",)}, "models", "printable characters"),
        ({"models": (" gpt",)}, "models", "printable characters"),
        ({"projects": ()}, "projects", "without it the guardrail is for all"),
        ({"options": {"kind": ["email"]}}, "options.kind", "Did you mean 'kinds'?"),
        ({"options": {"kinds": ["mail"]}}, "options.kinds[0]", "'mail'"),
        ({"kind": "blocked_patterns"}, "options", "must name something to block"),
        (
            {"kind": "blocked_patterns", "options": {"patterns": ["("]}},
            "options",
            "patterns[0] can't be used",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_by_name_and_changes_nothing(
    shared_database, changes, param, told
):
    before = version(shared_database)
    with pytest.raises(InvalidRequest) as caught:
        add(shared_database, **changes)
    assert caught.value.param == param
    assert told in caught.value.public_message
    assert version(shared_database) == before


def test_a_name_is_taken_once(shared_database):
    taken = add(shared_database).name
    with pytest.raises(Conflict, match=taken):
        add(shared_database, name=taken)


def test_a_change_keeps_what_it_does_not_name(shared_database):
    view = add(shared_database, models=("a",), options={"kinds": ["card"]}, where="both")
    before = version(shared_database)
    changed = update_guardrail(
        shared_database, view.name, GuardrailChange(models=None, enabled=False)
    )
    assert changed == msgspec.structs.replace(
        view, models=None, enabled=False, updated_at=changed.updated_at
    )
    assert changed.updated_at > view.updated_at
    assert version(shared_database) == before + 1
    replaced = update_guardrail(
        shared_database, view.name, GuardrailChange(options={"restore": False})
    )
    assert replaced.options == {"restore": False}


def test_a_change_that_makes_no_sense_is_refused(shared_database):
    view = add(shared_database)
    before = version(shared_database)
    with pytest.raises(InvalidRequest):
        update_guardrail(shared_database, view.name, GuardrailChange(options={"words": ["x"]}))
    assert read_guardrail(shared_database, view.name) == view
    assert version(shared_database) == before


def test_a_guardrail_is_removed(shared_database):
    view = add(shared_database)
    before = version(shared_database)
    assert remove_guardrail(shared_database, view.name) == view
    assert version(shared_database) == before + 1
    for gone in (read_guardrail, remove_guardrail):
        with pytest.raises(NotFound, match=view.name):
            gone(shared_database, view.name)
    with pytest.raises(NotFound):
        update_guardrail(shared_database, view.name, GuardrailChange(order=1))


def test_a_name_that_is_not_there_is_answered_with_the_nearest(shared_database):
    view = add(shared_database)
    with pytest.raises(NotFound) as caught:
        read_guardrail(shared_database, f"{view.name}x")
    assert view.name in caught.value.public_message


def test_guardrails_are_listed_in_their_order_and_only_enabled_ones_are_loaded(database):
    for each, order, enabled in (("b", 1, True), ("c", 0, True), ("a", 1, False)):
        add(database, name=each, order=order, enabled=enabled)
    assert [view.name for view in list_guardrails(database)] == ["c", "a", "b"]
    with database.read() as session:
        assert {row.name for row in guardrail_rows(session)} == {"b", "c"}


def test_a_text_is_tried_on_the_guardrails_of_a_model(database):
    add(database, name="privacy", models=("gpt-*",))
    add(
        database,
        name="words",
        kind="blocked_patterns",
        where="both",
        projects=("default",),
        options={"words": ["secret"]},
    )
    text = "I am jane@example.com"
    nothing = try_guardrails(database, text, model="claude")
    assert (nothing.outcomes, nothing.prompt, nothing.answer) == ({}, text, text)
    masked = try_guardrails(database, text, model="gpt-4o")
    assert (masked.outcomes, masked.prompt) == ({"privacy": "masked"}, "I am [EMAIL_1]")
    assert masked.answer == text
    blocked = try_guardrails(database, "a secret", model="openai/gpt-4o", project="default")
    assert blocked.outcomes == {"privacy": "passed", "words": "blocked"}
    assert (blocked.prompt, blocked.answer) == (None, None)
    assert blocked.blocked == "The guardrail 'words' does not let this prompt pass."
    update_guardrail(database, "words", GuardrailChange(where="answer"))
    answer = try_guardrails(database, "a secret", model="gpt-4o", project="default")
    assert (answer.prompt, answer.answer) == ("a secret", None)
    assert answer.blocked == "The guardrail 'words' does not let this answer pass."


def test_a_guardrail_of_a_kind_that_is_gone_refuses_and_can_still_be_removed(database):
    view = add(database)
    with database.write() as session:
        session.get_one(Guardrail, view.id).kind = "uninstalled"
    with pytest.raises(InternalError, match="can't be run"):
        try_guardrails(database, "x", model="gpt-4o")
    assert remove_guardrail(database, view.name).kind == "uninstalled"
    assert list_guardrails(database) == []
