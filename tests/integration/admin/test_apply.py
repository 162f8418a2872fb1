"""A file is applied: all of it, and nothing that is so already."""

from __future__ import annotations

from pydantic import SecretStr
from sqlalchemy import select

from tests.integration.admin.apply_files import BOX, FILE, apply, everything, told, version
from torana.admin.budgets import list_budgets, raise_budget
from torana.admin.guardrails import list_guardrails
from torana.admin.limits import LimitsChange, list_limits, set_limits
from torana.admin.prices import list_prices
from torana.admin.provider_keys import add_key, list_keys
from torana.admin.providers import PURPOSE, add_provider, get_provider, list_providers
from torana.admin.routes import get_route
from torana.admin.scopes import ScopeRef
from torana.admin.tenancy import list_projects
from torana.db.models import ProviderKey
from torana.secret_box import SecretBox


def test_all_that_a_file_names_is_made(database):
    outcome = apply(database, FILE)
    assert told(outcome) == [
        "+ allowed host models.internal",
        "+ provider first",
        "+ provider second",
        "+ model resilient",
        "+ price of first/m",
        "+ project red",
        "+ guardrail words",
        "+ limits of project red",
        "+ budget of project red",
        '+ budget "each" of end-user * in red',
    ]
    assert (outcome.applied, outcome.unchanged) == (True, 0)
    assert [(view.name, view.keys, view.enabled) for view in list_providers(database)] == [
        ("first", 1, True),
        ("second", 0, False),
    ]
    with database.read() as session:
        (key,) = session.scalars(select(ProviderKey))
    assert BOX.open(key.encrypted) == "sk-first"
    assert [target.priority for target in get_route(database, "resilient").route.targets] == [1, 2]
    (price,) = list_prices(database, provider="first", model="m")
    assert price.terms is not None
    assert (price.source, price.terms.rates.input_tokens) == ("operator", 150_000_000)
    assert price.terms.tiers[0].rates.output_tokens == 1_200_000_000
    (limits,) = list_limits(database, ref=ScopeRef(kind="project", id="red"))
    assert limits.rpm == 60
    red, each = list_budgets(database)
    assert (red.amount_usd, red.interval_seconds, red.starts_at is not None) == (
        "50.25",
        3600,
        True,
    )
    assert (each.is_template, each.name, each.amount_usd) == (True, "each", "1")


def test_a_second_time_nothing_is_written_and_no_version_raised(database):
    apply(database, FILE)
    before = everything(database)
    outcome = apply(database, FILE)
    assert (outcome.changes, outcome.unchanged, outcome.applied) == ((), 10, False)
    assert everything(database) == before


def test_a_dry_run_tells_what_would_be_and_writes_nothing(database):
    before = everything(database)
    rehearsed = apply(database, FILE, dry_run=True)
    assert everything(database) == before
    assert not rehearsed.applied
    assert rehearsed.changes == apply(database, FILE).changes


def test_what_is_different_is_changed_and_the_rest_stays(database):
    apply(database, FILE)
    before = version(database)
    outcome = apply(
        database,
        FILE.replace("enabled = false", "enabled = true")
        .replace("priority = 2", "weight = 3")
        .replace("input = 0.15", "input = 0.2")
        .replace("span = 5", "span = 6")
        .replace("rpm = 60", "concurrency = 5")
        .replace("50.25", "60")
        .replace('"day"', '"week"'),
    )
    assert told(outcome) == [
        "~ provider second: enabled false -> true",
        "~ model resilient: targets[1].priority 2 -> 1",
        "~ model resilient: targets[1].weight 1 -> 3",
        "~ price of first/m: input 0.15 -> 0.2",
        "~ guardrail words: options.span 5 -> 6",
        "~ limits of project red: rpm 60 -> none",
        "~ limits of project red: concurrency none -> 5",
        "~ budget of project red: amount_usd 50.25 -> 60",
        '~ budget "each" of end-user * in red: period day -> week',
    ]
    assert outcome.unchanged == 3
    assert version(database) > before
    assert get_provider(database, "second").enabled
    assert get_route(database, "resilient").route.targets[1].weight == 3


def test_what_is_no_longer_named_stays(database):
    apply(database, FILE)
    before = everything(database)
    assert apply(database, "").changes == ()
    assert everything(database) == before


def test_another_key_is_told_without_it_and_written(database):
    apply(database, FILE)
    outcome = apply(database, FILE, variables={"FIRST_KEY": "sk-rotated"})
    assert told(outcome) == ["~ provider first: key first None -> changed"]
    assert "sk-" not in repr(outcome)
    with database.read() as session:
        (key,) = session.scalars(select(ProviderKey))
    assert BOX.open(key.encrypted) == "sk-rotated"
    assert apply(database, FILE, variables={"FIRST_KEY": "sk-rotated"}).changes == ()


def test_keys_stay_when_the_file_names_none(database):
    apply(database, FILE)
    add_key(database, BOX, "second", label="by hand", secret="sk-hand")
    assert apply(database, FILE.replace('api_key_env = "FIRST_KEY"', "")).changes == ()
    assert [view.keys for view in list_providers(database)] == [1, 1]


def test_named_keys_are_all_keys_that_there_are(database):
    apply(database, FILE)
    several = FILE.replace(
        'api_key_env = "FIRST_KEY"',
        'keys = [{ label = "first", env = "FIRST_KEY" }, { label = "b", env = "OTHER_KEY" }]',
    )
    assert told(apply(database, several)) == ["~ provider first: key b None -> added"]
    assert told(apply(database, FILE)) == ["~ provider first: key b None -> removed"]
    assert [view.label for view in list_keys(database, "first")] == ["first"]


def test_a_key_that_can_not_be_read_any_more_is_replaced(database):
    lost = SecretBox([SecretStr("lost" * 8)], PURPOSE)
    url = "https://first.example.test/v1"
    add_provider(database, lost, name="first", base_url=url, keys=[("first", "sk-first")])
    outcome = apply(database, FILE)
    assert "~ provider first: key first None -> changed" in told(outcome)
    assert apply(database, FILE).changes == ()


def test_a_guardrail_may_name_a_project_by_its_id(database):
    apply(database, FILE)
    red = next(row.id for row in list_projects(database) if row.name == "red")
    assert apply(database, FILE.replace('["red"]', f'["{red}"]')).changes == ()
    (words,) = list_guardrails(database)
    assert words.projects == ["red"]


def test_spaces_around_names_do_not_count(database):
    apply(database, FILE)
    spaced = FILE.replace('name = "each"', 'name = " each "').replace(
        'name = "red"', 'name = " red"'
    )
    assert apply(database, spaced).changes == ()


def test_a_host_is_the_same_in_other_spellings(database):
    apply(database, FILE)
    assert apply(database, 'allowed_hosts = ["Models.Internal.:8000"]').changes == ()


def test_a_raise_and_a_suspension_by_hand_stay(database):
    apply(database, FILE)
    red = ScopeRef(kind="project", id="red")
    set_limits(database, red, LimitsChange(suspended=True))
    (budget, _) = list_budgets(database)
    until = budget.created_at.replace(year=2999)
    raise_budget(database, budget.id, amount_nano=5, until=until)
    assert apply(database, FILE).changes == ()
    apply(database, FILE.replace("50.25", "60").replace("rpm = 60", "rpm = 61"))
    assert list_budgets(database)[0].raise_usd == "0.000000005"
    assert list_limits(database, ref=red)[0].blocked == "suspended"
    resumed = apply(database, FILE.replace("rpm = 60", "rpm = 61\n    suspended = false"))
    assert "~ limits of project red: suspended true -> false" in told(resumed)


def test_a_listed_price_becomes_the_operators(database):
    (listed,) = list_prices(database, provider="echo", model="*")
    assert listed.terms is not None
    assert listed.source != "operator"
    text = """
        [[prices]]
        provider = "echo"
        model = "*"
        input = 0.01
        output = 0.02
        """
    assert told(apply(database, text)) == ["~ price of echo/*: source builtin -> operator"]
    assert apply(database, text).changes == ()
