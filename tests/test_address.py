"""Addresses: what is taken, what is refused and how it is said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yakt.address import Address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:7101", "127.0.0.1", 7101),
        ("localhost:0", "localhost", 0),
        ("node-1.example.com.:65535", "node-1.example.com.", 65535),
        ("my_host:1", "my_host", 1),
        ("[::1]:7101", "::1", 7101),
        ("[::]:80", "::", 80),
        ("[fe80::1%eth0]:80", "fe80::1%eth0", 80),
    ],
)
def test_parse_and_back(text: str, host: str, port: int) -> None:
    assert Address.parse(text) == Address(host, port)
    assert str(Address(host, port)) == text


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is not host:port"),
        ("localhost", "is not host:port"),
        (":7101", "is not host:port"),
        ("localhost:", "a port is a number"),
        ("localhost:http", "a port is a number"),
        ("localhost:-1", "a port is a number"),
        ("localhost:65536", "a port is a number"),
        ("localhost:７", "a port is a number"),
        ("::1:7101", "in brackets"),
        ("[::1:7101", "in brackets"),
        ("[::g]:1", '"::g" is no IPv6 address'),
        ("[]:1", '"" is no IPv6 address'),
        ("127.0.0.256:1", '"127.0.0.256" is no IPv4 address'),
        ("1.2.3:1", '"1.2.3" is no IPv4 address'),
        ("a b:1", '"a b" is no host name'),
        ("-a:1", "is no host name"),
        ("a..b:1", "is no host name"),
        ("bücher.example:1", "is no host name"),
        ("x" * 64 + ":1", "is no host name"),
    ],
)
def test_refused(text: str, complaint: str) -> None:
    with pytest.raises(ValueError) as refused:
        Address.parse(text)
    assert complaint in str(refused.value)


@given(st.text(max_size=40))
def test_whatever_is_taken_comes_out_again(text: str) -> None:
    try:
        address = Address.parse(text)
    except ValueError:
        return
    assert Address.parse(str(address)) == address


def test_wildcards() -> None:
    assert Address.parse("0.0.0.0:1").is_wildcard
    assert Address.parse("[::]:1").is_wildcard
    assert Address.parse("[0:0::0]:1").is_wildcard
    assert not Address.parse("127.0.0.1:1").is_wildcard
