"""What of a file can't be is told with its line, all at once, and nothing is written."""

from __future__ import annotations

import pytest

from tests.integration.admin.apply_files import BOX, FILE, apply, everything, refused
from torana.admin.allowed_hosts import disallow_host
from torana.admin.budgets import create_budget
from torana.admin.providers import add_provider
from torana.admin.scopes import ScopeRef
from torana.admin.tenancy import list_projects
from torana.db.models import Balance
from torana.db.session import Database
from torana.errors import LedgerUnavailable
from torana.ledger.terms import BudgetTerms

GUARDRAIL = """\
[[guardrails]]
name = "g"
kind = "blocked_patterns"
options = { words = ["a"] }
"""


def test_everything_that_is_refused_is_told_at_once_and_nothing_is_written(database):
    cities = "Europe/Berlin or Europe/Dublin or Europe/Belfast"
    assert refused(
        database,
        """\
        [[providers]]
        name = "good"
        base_url = "https://good.example.test"
        [[providers]]
        name = "bad"
        base_url = "ftp://bad.example.test"
        [[models]]
        name = "not tried, because its provider is refused"
        targets = [{ provider = "bad", model = "m", weight = -1 }]
        [[models]]
        name = "m"
        targets = [
          { provider = "good", model = "m" },
          { provider = "good", model = "n", weight = -1 },
        ]
        [[projects]]
        name = "red"
        [[budgets]]
        scope = "project"
        id = "red"
        amount_usd = 1
        time_zone = "Europe/Berln"
        [[budgets]]
        scope = "project"
        id = "blue"
        amount_usd = 1
        [[prices]]
        provider = "good"
        model = "m"
        input = 1
        [[limits]]
        scope = "project"
        id = "red"
        rpm = 0
        """,
    ) == [
        "x.toml:6: A base URL looks like https://host/v1, without credentials, query and fragment.",
        "x.toml:14: targets[1].weight is -1; it is 0 to 1000.",
        f"x.toml:22: There is no time zone 'Europe/Berln'. Do you mean {cities}?",
        "x.toml:23: There is no project 'blue'. There is: default, red.",
        "x.toml:27: A price needs an amount for 'output'.",
        "x.toml:34: A limit of requests a minute is at least 1; leave it away for none.",
    ]


def test_a_provider_that_is_nowhere_is_refused_with_the_line_and_the_nearest(database):
    add_provider(database, BOX, name="stored", base_url="https://stored.example.test")
    sought = "neither in this file nor in the database"
    known = "stored, openai, anthropic, local, echo"
    assert refused(
        database,
        """\
        [[models]]
        name = "m"
        targets = [
          { provider = "stored", model = "m" },
          { provider = "openai", model = "m" },
          { provider = "storde", model = "m" },
        ]
        [[prices]]
        provider = "xyz"
        model = "m"
        """,
    ) == [
        f'x.toml:6: there is no provider "storde", {sought}; did you mean "stored"?',
        f'x.toml:9: there is no provider "xyz", {sought}; there are {known}',
    ]


def test_what_stands_twice_is_refused(database):
    budget = "a budget of this scope and name"
    text = """\
        allowed_hosts = ["127.0.0.1", "127.0.0.1"]
        [[projects]]
        name = "red"
        [[projects]]
        name = "red"
        [[budgets]]
        scope = "project"
        id = "red"
        amount_usd = 1
        [[budgets]]
        scope = "project"
        id = "red"
        amount_usd = 2
        """
    assert refused(database, text) == [
        "x.toml:1: this host stands in the file already",
        "x.toml:4: a project of this name stands in the file already",
        f'x.toml:10: {budget} stands in the file already; tell them apart with "name"',
    ]


def test_unknown_keys_and_keys_that_are_not_there_are_told_together(database):
    assert refused(
        database,
        """\
        [[providers]]
        name = "p"
        base_url = "https://p.example.test"
        api_key_env = "UNSET"
        [[projects]]
        name = "red"
        zone = "UTC"
        """,
    ) == [
        "x.toml:4: api_key_env: the variable UNSET is not set in the environment of this command",
        'x.toml:7: unknown key "zone" in [[projects]]; there is name',
    ]


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (("enabled = false", 'kind = "openai"'), "x.toml:11: The kind of the provider 'second' is"),
        (('name = "second"', 'name = "echo"'), "x.toml:9: The provider 'echo' is built in."),
        (("enabled = false", 'kind = "x"'), "x.toml:11: A provider is of one of the kinds"),
        (("enabled = false", 'preset = "x"'), "x.toml:11: There is no preset 'x'"),
        (("enabled = false", "variables.a = 'b'"), "x.toml:11: Only a preset has variables."),
    ],
)
def test_a_provider_that_can_not_be_so_is_refused(database, change, refusal):
    apply(database, FILE)
    assert refused(
        database,
        FILE.replace(*change).replace('provider = "second"', 'provider = "first", region = "eu"'),
    )[0].startswith(refusal)


def test_entries_that_contradict_each_other_are_refused(database):
    (project,) = list_projects(database)
    one, other = (
        f'[[limits]]\nscope = "project"\nid = "{name}"\nrpm = {rpm}\n'
        for name, rpm in ((project.name, 5), (project.id, 6))
    )
    refusal = ["x.toml:1: another entry of this file wants it otherwise"]
    assert refused(database, one + other) == refusal
    apply(database, one)
    assert refused(database, one + other) == refusal


def test_budgets_that_can_not_be_told_apart_are_refused(database):
    apply(database, FILE)
    red = ScopeRef(kind="project", id="red")
    create_budget(database, red, BudgetTerms(amount_nano=1, period="day"))
    (refusal,) = refused(database, FILE)
    assert refusal.startswith("x.toml:41: There are 2 budgets of project red")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('allowed_hosts = [\n"http://a/b"]', "x.toml:2: A host is a name or an IP address."),
        (GUARDRAIL.replace("words", "wrods"), "x.toml:4: There is no option of 'blocked_patterns'"),
        (GUARDRAIL.replace('["a"]', "[]"), "x.toml:4: The options do not fit the guardrail kind"),
        (GUARDRAIL.replace("blocked_", "bloked_"), "x.toml:3: There is no kind of guardrails"),
        (GUARDRAIL + 'projects = ["nowhere"]', "x.toml:1: There is no project 'nowhere'."),
        (GUARDRAIL + 'where = "nowhere"', "x.toml:5: 'where' is one of prompt, answer, both."),
        ('[[providers]]\nname = "p"', "x.toml:1: Say the base URL, or a preset that knows it."),
        (
            '[[providers]]\nname = "p"\n[providers.options]\nkey_header = "No Header"',
            "x.toml:3: 'key_header' must be a header's name",
        ),
    ],
)
def test_each_refusal_has_its_line(shared_database, text, line):
    (refusal,) = refused(shared_database, text)
    assert refusal.startswith(line)


def test_the_kind_of_a_guardrail_stays(database):
    apply(database, GUARDRAIL)
    changed = GUARDRAIL.replace("blocked_patterns", "mask").replace(
        'options = { words = ["a"] }', ""
    )
    (refusal,) = refused(database, changed)
    assert refusal.startswith("x.toml:3: The kind of the guardrail 'g' is blocked_patterns and")


@pytest.mark.parametrize(
    "host", ["127.0.0.1:9001", "localhost", "[::1]", "private.example.test", "10.1.2.3"]
)
def test_a_provider_at_a_private_address_needs_its_host_to_be_allowed(database, host):
    provider = f'[[providers]]\nname = "p"\nbase_url = "http://{host}/v1"\n'
    (refusal,) = refused(database, provider)
    assert refusal.startswith("x.toml:3: The host ")
    assert "allowed_hosts" in refusal
    allowed = f'allowed_hosts = ["{host}"]\n{provider}'
    assert len(apply(database, allowed).changes) == 2
    assert apply(database, allowed).changes == ()
    disallow_host(database, host)
    assert apply(database, provider).changes == ()  # It is where it was.


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)  # SQLite waits five seconds.
def test_a_database_that_is_busy_for_too_long_refuses_all_of_it(database):
    hurried = Database(database.url.render_as_string(hide_password=False), patience=0.3)
    before = everything(database)
    try:
        with database.write() as session:
            # The limits and the budget come last, so all else has been written by then.
            session.query(Balance).filter(
                Balance.scope_kind == "organisation"
            ).with_for_update().all()
            with pytest.raises(LedgerUnavailable):
                apply(
                    hurried,
                    FILE
                    + """
    [[limits]]
    scope = "organisation"
    id = "default"
    rpm = 5
    """,
                )
    finally:
        hurried.dispose()
    assert everything(database) == before
