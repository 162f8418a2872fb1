"""What is a value to be masked, and what only looks like one."""

from __future__ import annotations

import pytest

from torana.guardrails.cards import passes_luhn
from torana.guardrails.values import KINDS, find_values

PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7bq\n-----END RSA PRIVATE KEY-----"
TOKEN = "aZ3kP9qLx7Rw2Tn5Yb8Vc1Md4Fg6Hj0Ks"

EMAILS = [
    "jane@example.com",
    "jane.doe+tag@mail.example.co.uk",
    "o'neil@example.org",
    "JANE_DOE@EXAMPLE.COM",
    "jörg@müller.de",
    "x@xn--bcher-kva.xn--p1ai",
    "a-b@c-d.museum",
]
PHONES = [
    "+49 30 1234567",
    "+49 (0) 30 1234567",
    "+1 (415) 555-2671",
    "+14155552671",
    "+1-415-555-2671",
    "+44 20 7946 0958",
    "+33.6.12.34.56.78",
    "+91 98765 43210",
    "+8613800138000",
    "0044 20 7946 0958",
    "(415) 555-2671",
    "415-555-2671",
    "415.555.2671",
    "415 555 2671",
    "1-415-555-2671",
    "020 7946 0958",
    "07700 900123",
    "(030) 123456",
    "0171/1234567",
    "0171-1234567",
    "030-123 456",
    "06 12 34 56 78",
    "06.12.34.56.78",
]
CARDS = [
    "4111111111111111",
    "4111 1111 1111 1111",
    "4111-1111-1111-1111",
    "5500 0000 0000 0004",
    "378282246310005",
    "3782 822463 10005",
    "6011000990139424",
    "30569309025904",
    "4222222222222",
    "6304000000000000",
    "4000 0000 0000 0000 006",
]
SECRETS = [
    "sk-proj-abc123def456ghi789jkl012",
    "sk-ant-api03-abcdefghijklmnopqrst",
    "sk-abcdefghijklmnopqrstuvwx",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "github_pat_11ABCDEFG0abcdefghijkl_mnopqrst",
    "glpat-abcdefghij0123456789",
    "AKIAIOSFODNN7EXAMPLE",
    "xoxb-123456789012-abcdefghij",
    "AIzaSyA1234567890abcdefghijklmnopqrstuv",
    "sk_live_abcdefghij0123456789",
    "hf_abcdefghijklmnopqrstuv",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
    PEM,
    PEM.replace("\n", "\\n"),
    TOKEN,
]
STAYS = [
    "2024-01-15",
    "2024-01-15 10:30:00",
    "2024-01-15T10:30:00Z",
    "15.01.2024 12:30",
    "01.02.2024 12",
    "01/02/2024 12:30",
    "01-02-2024",
    "08/2024",
    "09:30 - 10:45",
    "order 123456789",
    "order 0123456789",
    "order 302-1234567-7654321",
    "invoice 2024-000123456",
    "550e8400-e29b-41d4-a716-446655440000",
    "1,234,567.89",
    "$1234.56 or 12.50 EUR",
    "+12345678.50",
    "5+12345678",
    "+12345678,50",
    "192.168.100.200",
    "10.0.0.1:8080",
    "2001:db8::8a2e:370:7334",
    "version 1.22.333",
    "200 300 4000 500",
    "rows 100 200 300 4000",
    "1700000000000",
    "1700000000000000000",
    "4111111111111112",
    "4111 1111 1111 1112",
    "x4111111111111111",
    "3.4111111111111111",
    "490154203237518",
    "9780306406157",
    "icon@2x.png",
    "user@localhost",
    "@jane",
    "react@18.2.0",
    "d41d8cd98f00b204e9800998ecf8427e",
    "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "sk-learn-something-long-name",
    "task-1234567890123456789012345",
    "getInternationalizedConfigurationForUser2",
    "/usr/local/lib/python3.11/site-packages/torana",
    'password = os.environ["PASSWORD"]',
    "https://docs.example.com/d/1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2upms/edit",
    "iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4" * 4,
    "-----BEGIN CERTIFICATE-----",
]
ALL = [
    *[(text, "email") for text in EMAILS],
    *[(text, "phone") for text in PHONES],
    *[(text, "card") for text in CARDS],
    *[(text, "secret") for text in SECRETS],
]


def found(text: str) -> list[tuple[str, str]]:
    return [(text[each.start : each.end], each.kind) for each in find_values(text, KINDS)]


@pytest.mark.parametrize(("value", "kind"), ALL, ids=ascii)
@pytest.mark.parametrize(
    "around",
    [
        "{}",
        "It is {}.",
        "({}), then",
        "a: {}; b",
        "<{}>",
        'say "{}"\nnext',
        "über {} é",
    ],
)
def test_a_value_is_found_whole_wherever_it_stands(around, value, kind):
    assert found(around.format(value)) == [(value, kind)]


@pytest.mark.parametrize(("value", "kind"), ALL, ids=ascii)
def test_a_value_behind_an_escape_of_json_is_found(value, kind):
    ((text, found_kind),) = found(f'{{"a": "\\n{value}"}}')
    assert found_kind == kind
    assert text in {value, f"n{value}"}  # What begins with a letter could begin with the n, too.


@pytest.mark.parametrize("text", STAYS, ids=ascii)
def test_what_only_looks_like_a_value_stays(text):
    assert found(text) == []
    assert found(f"See {text}, please.") == []


@pytest.mark.parametrize(("value", "kind"), ALL, ids=ascii)
def test_only_the_wanted_kinds_are_found(value, kind):
    others = [each for each in KINDS if each != kind]
    assert (value, kind) not in [
        (value[each.start : each.end], each.kind) for each in find_values(value, others)
    ]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("4111 1111 1111 1111 12/26", ["4111 1111 1111 1111"]),
        ("2024 4111 1111 1111 1111", ["4111 1111 1111 1111"]),
        ("+1 415 555 2671 10 times", ["+1 415 555 2671"]),
        ("030 123456 2024", ["030 123456"]),
        ("a@b.example,c@d.example", ["a@b.example", "c@d.example"]),
        ("415-555-2671,415-555-2672", ["415-555-2671", "415-555-2672"]),
        ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG+bPxRfi", ["wJalrXUtnFEMI/K7MDENG+bPxRfi"]),
        ('"api_key": "0123456789abcdef0123"', ["0123456789abcdef0123"]),
        ("Authorization: Bearer abcdef0123456789abcdef01", ["abcdef0123456789abcdef01"]),
        (f"{PEM} and {PEM}", [PEM, PEM]),
    ],
)
def test_what_stands_beside_a_value_is_not_a_part_of_it(text, values):
    assert [value for value, _ in found(text)] == values


def test_a_private_key_without_an_end_is_masked_as_far_as_it_goes():
    begun = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0\nAQEFAASCBKcwggSjAgEAAoIB"
    assert found(f"{begun}\nThat was it.") == [(begun, "secret")]
    assert found("See -----BEGIN PRIVATE KEY----- there.") == [
        ("-----BEGIN PRIVATE KEY-----", "secret")
    ]


def test_a_footer_far_away_is_not_that_of_a_key():
    far = f"-----BEGIN PRIVATE KEY-----\n{'word ' * 5000}-----END PRIVATE KEY-----"
    ((value, _),) = found(far)
    assert value == "-----BEGIN PRIVATE KEY-----"


def test_values_that_overlap_are_one():
    text = f"password=jane@example.com{TOKEN}"
    ((value, _),) = found(text)
    assert value.startswith("jane@")
    assert value.endswith(TOKEN)


def test_half_characters_are_no_obstacle():
    assert found("\ud800 jane@example.com \udfff") == [("jane@example.com", "email")]


@pytest.mark.parametrize(
    ("digits", "good"), [("79927398713", True), ("79927398710", False), ("0", True), ("18", True)]
)
def test_luhn(digits, good):
    assert passes_luhn(digits) is good
