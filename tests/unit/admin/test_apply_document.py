"""What is read from a file, and what is refused with its line."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from textwrap import dedent

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torana.admin.apply import schema
from torana.admin.apply.document import SIZE_LIMIT, read_document
from torana.admin.apply.shape import shaped
from torana.admin.price_terms import AMOUNTS
from torana.errors import ValidationFailed
from torana.ledger.terms import BudgetTerms
from torana.ledger.windows import MODES, period_names
from torana.routing.routes import CacheTerms, Deadlines, Route, RouteTarget, When


def read(text: str):
    return read_document(dedent(text).encode(), "x.toml")


def refusals(text: str | bytes) -> list[str]:
    """What is wrong with a file, line by line."""
    content = text if isinstance(text, bytes) else dedent(text).encode()
    try:
        document = read_document(content, "x.toml")
        error = document.refuse(document.problems)
    except ValidationFailed as caught:
        error = caught
    return [f"{each['field']}: {each['message']}" for each in error.problems]


def test_an_empty_file_wants_nothing():
    document = read("# Nothing yet.\n")
    assert document.wanted == schema.Wanted()
    assert document.problems == []


def test_a_route_is_read_with_all_that_it_can_say():
    document = read(
        """
        [[models]]
        name = "all"
        strategy = "weighted"
        sticky = true
        attempts = 2
        disconnect = "cancel"
        cache = { seconds = 300, scope = "organisation", max_bytes = 1000 }
        deadlines = { connect = 1, first_byte = 2.5, idle = 3, total = 4 }

        [[models.targets]]
        provider = "p"
        model = "m"
        priority = 2
        weight = 3
        region = "eu"
        max_output = 4
        when = { dialects = ["chat"], tools = true, images = false, min_input_tokens = 5, max_input_tokens = 6 }
        """
    )
    assert document.problems == []
    assert document.wanted.models == (
        schema.WantedModel(
            name="all",
            strategy="weighted",
            sticky=True,
            attempts=2,
            disconnect="cancel",
            cache=CacheTerms(seconds=300, scope="organisation", max_bytes=1000),
            deadlines=Deadlines(connect=1.0, first_byte=2.5, idle=3.0, total=4.0),
            targets=(
                RouteTarget(
                    provider="p",
                    model="m",
                    priority=2,
                    weight=3,
                    region="eu",
                    max_output=4,
                    when=When(
                        dialects=("chat",),
                        tools=True,
                        images=False,
                        min_input_tokens=5,
                        max_input_tokens=6,
                    ),
                ),
            ),
        ),
    )


def test_money_is_exact_however_it_is_written():
    budget = """
        [[budgets]]
        scope = "project"
        id = "a"
        amount_usd = {}
        """
    for text, amount in (
        ("0.1", "0.1"),
        ('"0.1"', "0.1"),
        ("50", "50"),
        ("0.000000001", "0.000000001"),
        ("1e-7", "0.0000001"),
        ("9007199254.740993", "9007199254.740993"),
    ):
        (wanted,) = read(budget.format(text)).wanted.budgets
        assert wanted.amount_usd == Decimal(amount)


@pytest.mark.parametrize(
    "amount", ["-1", "0.0000000001", "nan", "inf", '"five"', "true", "1e99", "[5]", "2026-01-01"]
)
def test_what_is_no_amount_of_dollars_is_refused(amount):
    (refusal,) = refusals(f'[[budgets]]\nscope = "tag"\nid = "a=b"\namount_usd = {amount}')
    assert refusal.startswith("x.toml:4: amount_usd in [[budgets]] must be an amount of dollars")


@pytest.mark.parametrize(
    "written",
    [
        "2026-12-01T00:00:00Z",
        "2026-12-01T01:00:00+01:00",
        "2026-12-01",
        "2026-12-01T00:00:00",
        '"2026-12-01T00:00:00Z"',
    ],
)
def test_an_instant_without_a_zone_is_utc(written):
    text = f'[[budgets]]\nscope = "key"\nid = "a"\namount_usd = 1\nstarts_at = {written}'
    (budget,) = read(text).wanted.budgets
    assert budget.starts_at == datetime(2026, 12, 1, tzinfo=UTC)


@pytest.mark.parametrize("written", ['"soon"', "12:00:00", "5", "0001-01-01T00:00:00+01:00"])
def test_what_is_no_instant_is_refused(written):
    text = f'[[budgets]]\nscope = "key"\nid = "a"\namount_usd = 1\nstarts_at = {written}'
    (refusal,) = refusals(text)
    assert refusal.startswith("x.toml:5: starts_at in [[budgets]] must be an instant such as")


def test_pairs_may_be_written_as_a_table_or_as_lists():
    provider = '[[providers]]\nname = "p"\noptions.query = {}'
    for written in ('{ "api-version" = "1" }', '[["api-version", "1"]]'):
        (wanted,) = read(provider.format(written)).wanted.providers
        assert wanted.options.query == (("api-version", "1"),)
    (refusal,) = refusals(provider.format("{ a = 5 }"))
    assert refusal.startswith("x.toml:3: a in [[providers]] options.query must be a list of two")


def test_an_unknown_key_is_told_with_its_line_and_the_nearest_name():
    assert refusals(
        """\
        [[models]]
        name = "resilient"
        tagets = []
        """
    ) == ['x.toml:3: unknown key "tagets" in [[models]]; did you mean "targets"?']


def test_unknown_keys_at_any_depth_are_told_at_once():
    *nearest, other = refusals(
        """\
        allowed_host = []
        [[models]]
        name = "a"
        targets = [
          { provider = "p", model = "m" },
          { provider = "p", model = "n", wieght = 2 },
        ]
        [models.deadlines]
        firstbyte = 5
        [[providers]]
        name = "p"
        colour = "blue"
        """
    )
    assert nearest == [
        'x.toml:1: unknown key "allowed_host" in the file; did you mean "allowed_hosts"?',
        'x.toml:6: unknown key "wieght" in [[models]] targets[1]; did you mean "weight"?',
        'x.toml:9: unknown key "firstbyte" in [[models]] deadlines; did you mean "first_byte"?',
    ]
    assert other.startswith('x.toml:12: unknown key "colour" in [[providers]]; there are name, ')


@pytest.mark.parametrize(
    "written",
    [
        'api_key = "sk-of-the-provider"',
        '[[providers.keys]]\nlabel = "a"\nsecret = "sk-of-the-provider"',
        '[[providers.keys]]\nlabel = "a"\nkey = "sk-of-the-provider"',
        "[providers.api_key]\nx = 'sk-of-the-provider'",
    ],
)
def test_a_secret_in_the_file_is_refused_with_what_to_write(written):
    (refusal,) = refusals(f'[[providers]]\nname = "p"\n{written}')
    assert "a secret must not stand in the file" in refusal
    assert "api_key_env" in refusal
    assert "sk-of" not in refusal


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("allowed_hosts = 5", "x.toml:1: allowed_hosts must be a list, not a whole number"),
        ("allowed_hosts = [\n5]", "x.toml:2: allowed_hosts[0] must be a string, not a whole number"),
        ("models = {}", "x.toml:1: models must be a list, not a table"),
        ("models = [5]", "x.toml:1: models[0] must be a table, not a whole number"),
        ("[[projects]]\nname = true", "x.toml:2: name in [[projects]] must be a string, not true or false"),
        ('[[limits]]\nscope = "key"\nid = "a"\nrpm = 1.5', "x.toml:4: rpm in [[limits]] must be a whole number, not a decimal number"),
        ('[[limits]]\nscope = "key"\nid = "a"\nrpm = true', "x.toml:4: rpm in [[limits]] must be a whole number, not true or false"),
        ('[[limits]]\nscope = "key"\nid = "a"\nsuspended = 1', "x.toml:4: suspended in [[limits]] must be true or false, not a whole number"),
        ('[[limits]]\nscope = "kee"\nid = "a"', 'x.toml:2: scope in [[limits]] can\'t be "kee"; did you mean "key"?'),
        ('[[limits]]\nscope = ["key"]\nid = "a"', "x.toml:2: scope in [[limits]] must be a string, not a list"),
        ('[[limits]]\nid = "a"', 'x.toml:1: [[limits]] needs "scope"'),
        ('[[projects]]\n\n[[projects]]\nname = "a"', 'x.toml:1: [[projects]] needs "name"'),
        ('[[models]]\nname = "a"\ntargets = []\ndeadlines.idle = "5"', "x.toml:4: idle in [[models]] deadlines must be a number, not a string"),
        ('[[models]]\nname = "a"\ntargets = []\ndeadlines.idle = inf', "x.toml:4: idle in [[models]] deadlines must be a number"),
        ('[[models]]\nname = "a"\ntargets = []\ncache = {}', 'x.toml:4: [[models]] cache needs "seconds"'),
        ('[[providers]]\nname = "a"\nvariables = { a = 5 }', "x.toml:3: a in [[providers]] variables must be a string, not a whole number"),
    ],
)  # fmt: skip
def test_a_value_of_the_wrong_type_is_refused_with_what_is_wanted(text, refusal):
    assert refusals(text) == [refusal]


@pytest.mark.parametrize(
    ("content", "refusal"),
    [
        (b"a = 1\nb = \nc = 3", "x.toml:2: Invalid value (column 5)"),
        (b"a = 1\na = 2", "x.toml:2: Cannot overwrite a value"),
        (b"a = 1\nb = [1,", "x.toml:2: Invalid value"),
        (b"a = 1\n[b", "x.toml:2: Expected ']' at the end of a table declaration"),
        (b"a = 1\nb = '\xff'", "x.toml:2: this is not UTF-8 text"),
        (b"a = " + b"[" * 9999, "x.toml:1: the file is nested too deeply"),
        (b"#" * (SIZE_LIMIT + 1), "x.toml:1: the file is larger than 4 MiB"),
    ],
)
def test_what_is_no_toml_is_refused_with_its_line(content, refusal):
    assert refusals(content) == [refusal]


def test_an_inline_table_over_several_lines_is_refused_with_advice():
    (refusal,) = refusals(b"targets = [\n  { provider = 1,\n    model = 2 },\n]")
    assert refusal.startswith("x.toml:2: ")
    assert refusal.endswith("(column 18); an inline table { ... } must stand on one line")


def test_what_no_database_can_keep_is_refused():
    text = '[[projects]]\nname = "a\\u0000"\n[[guardrails]]\noptions = { x = [\n1, 9223372036854775808] }'
    assert refusals(text) == [
        "x.toml:2: there is a NUL character in this text",
        "x.toml:5: this number is too large",
    ]
    assert refusals('"\\u0000" = 1') == ["x.toml:1: there is a NUL character in this text"]


def test_a_number_of_thousands_of_digits_is_refused():
    (refusal,) = refusals(b"a = " + b"1" * 5000)
    assert refusal.startswith("x.toml:1: Exceeds the limit")


def test_a_byte_order_mark_is_no_part_of_the_first_key():
    document = read_document(b'\xef\xbb\xbfallowed_hosts = ["a"]', "x.toml")
    assert document.wanted.allowed_hosts == ("a",)


def test_the_error_says_how_many_problems_there_are():
    with pytest.raises(ValidationFailed, match=r"x.toml has 2 problems; nothing is changed"):
        read("[[projects]]\n[[projects]]")


# --- any document ------------------------------------------------------------------------------

NAMES = sorted(
    {
        name
        for struct in (schema.Wanted, schema.WantedProvider, schema.WantedModel, schema.WantedPrice)
        for name in (*struct.__struct_fields__, "above", "seconds", "when", "label", "x")
    }
)
VALUES = st.recursive(
    st.one_of(
        st.none().map(lambda _: date(2026, 1, 1)),
        st.sampled_from(["priority", "key", "", "5", "2026-01-01"]),
        st.integers(-5, 5),
        st.decimals(),
        st.booleans(),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4))
def test_any_document_is_read_or_refused_with_reasons(document):
    wanted, problems = shaped(document, schema.Wanted)
    assert wanted is not None or problems
    for problem in problems:
        assert problem.message


# --- the schema says what the rest of Torana says ----------------------------------------------


def fields(struct: type[msgspec.Struct]) -> set[str]:
    return set(struct.__struct_fields__)


def test_a_model_is_a_route():
    assert fields(schema.WantedModel) == fields(Route) | {"enabled"}


def test_prices_have_all_amounts():
    own = {"provider", "model", "tiers", "image_variants", "batch_percent"}
    assert fields(schema.WantedPrice) - own == set(AMOUNTS)
    assert fields(schema.WantedTier) - {"above"} == set(AMOUNTS)


def test_budgets_have_all_terms_but_a_raise():
    renamed = {"amount_nano": "amount_usd", "zone": "time_zone"}
    terms = {renamed.get(name, name) for name in fields(BudgetTerms)}
    assert fields(schema.WantedBudget) - {"scope", "id", "project", "name"} == {
        name for name in terms if not name.startswith("raise_")
    }
    known = {each.name: each for each in msgspec.inspect.type_info(schema.WantedBudget).fields}  # type: ignore[attr-defined]
    assert set(known["period"].type.values) == set(period_names())
    assert set(known["mode"].type.values) == set(MODES)
    defaults = BudgetTerms(amount_nano=0, period="month")
    for name in ("thresholds", "models", "mode", "interval_seconds"):
        assert known[name].default == getattr(defaults, name)
    assert known["time_zone"].default == defaults.zone
