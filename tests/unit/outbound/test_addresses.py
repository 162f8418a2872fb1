"""Which addresses are public, and which hosts are addresses in disguise."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torana.outbound.addresses import is_public, literal_address

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "168.63.129.15",
    "169.253.255.255",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.167.255.255",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2400::1",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
]
FORBIDDEN = {
    "unspecified": ["0.0.0.0", "::"],  # noqa: S104 -- nobody listens there
    "this network": ["0.1.2.3"],
    "loopback": ["127.0.0.1", "127.255.255.255", "::1"],
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"],
    "carrier": ["100.64.0.1", "100.127.255.255", "100.100.100.200"],
    "link-local": ["169.254.169.254", "169.254.170.2", "fe80::1", "fe80::1%eth0", "febf::1"],
    "unique local": ["fc00::1", "fd00:ec2::254", "fdff::1"],
    "site-local": ["fec0::1"],
    "of a cloud": ["168.63.129.16", "192.0.0.192"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1"],
    "broadcast": ["255.255.255.255"],
    "reserved": ["240.0.0.1", "254.0.0.1", "4000::1", "100::1", "5f00::1"],
    "documentation": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff:fff::1"],
    "benchmarks": ["198.18.0.1", "198.19.255.255", "2001:2::1"],
    "assignments": ["192.0.0.8", "2001:1::1", "2001:1ff::1"],
    "mapped": ["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0:0"],
    "compatible": ["::127.0.0.1", "::7f00:1", "::8.8.8.8"],
    "translated": ["::ffff:0:127.0.0.1"],
    "6to4": ["2002:7f00:1::", "2002:a00:1::1", "2002:808:808::1", "192.88.99.1"],
    "NAT64": ["64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::8.8.8.8"],
    "Teredo": ["2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"],
    "nothing": ["", "localhost", "127.1", "1.2.3.4.5", "[::1]", "2130706433"],
}


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_public(address: str):
    assert is_public(address)


@pytest.mark.parametrize(
    ("kind", "address"), [(kind, one) for kind, some in FORBIDDEN.items() for one in some]
)
def test_all_others_are_not(kind: str, address: str):
    assert not is_public(address)


@given(st.integers(0, 2**32 - 1))
def test_an_ipv4_address_is_judged_alike_in_every_form_of_ipv6_that_reaches_it(number: int):
    address = IPv4Address(number)
    plain = is_public(str(address))
    assert is_public(f"::ffff:{address}") == plain
    assert is_public(f"64:ff9b::{address}") == plain


@given(st.integers(0, 2**32 - 1))
def test_no_form_of_ipv6_makes_a_private_ipv4_address_public(number: int):
    address = IPv4Address(number)
    groups = f"{number >> 16:x}:{number & 0xFFFF:x}"
    assert not is_public(f"::{address}")
    assert not is_public(f"2002:{groups}::1")
    assert not is_public(f"2001:0:{groups}::1")
    assert not is_public(f"64:ff9b:1::{address}")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "0x7f.1",
        "0x7f000001",
        "0X7F.0.0.0x1",
        "2130706433",
        "017700000001",
        "0177.0.0.01",
        "127.0.0.1.",
    ],
)
def test_an_ipv4_address_is_known_in_every_spelling(host: str):
    assert literal_address(host) == "127.0.0.1"


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("0", "0.0.0.0"),  # noqa: S104 -- the same
        ("1.2.3", "1.2.0.3"),
        ("0xa9fea9fe", "169.254.169.254"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("[::FFFF:7f00:1]", "::ffff:7f00:1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%25eth0]", "fe80::1"),
        ("::ffff:127.0.0.1", "::ffff:7f00:1"),
    ],
)
def test_other_addresses_are_known_too(host: str, address: str):
    assert literal_address(host) == address


@pytest.mark.parametrize(
    "host",
    [
        "",
        "localhost",
        "example.com",
        "cafe",
        "dead.beef",
        "256.1.1.1",
        "08.1.1.1",
        "1.2.3.4.5",
        "4294967296",
        "127.0.0.1 x",
        "127.0.0.1\n",
        "1::2::3",
        "::g",
        "0x",
    ],
)
def test_a_name_is_no_address(host: str):
    assert literal_address(host) is None


@given(st.integers(0, 2**32 - 1))
def test_numbers_in_any_base_are_the_address_that_they_count(number: int):
    address = str(IPv4Address(number))
    for host in (str(number), hex(number), f"0{number:o}", address):
        assert literal_address(host) == address
