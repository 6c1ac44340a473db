"""Endpoints as text: what is taken, and what others are told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rddlite.errors import ProviderError
from rddlite.net import address
from rddlite.net.address import LOOPBACK, Place, needs_ipv6, own_address, parse_tcp, resolve, to_advertise, to_bind


@pytest.mark.parametrize(
    ("endpoint", "host", "port"),
    [
        ("tcp://127.0.0.1:7077", "127.0.0.1", 7077),
        ("tcp://node-1.example:0", "node-1.example", 0),
        ("tcp://*:*", "*", 0),
        ("tcp://[::1]:65535", "::1", 65535),
        (LOOPBACK, "127.0.0.1", 0),
    ],
)
def test_an_endpoint_has_a_host_and_a_port(endpoint, host, port):
    assert parse_tcp(endpoint) == (host, port)
    assert parse_tcp(Place(host, port).endpoint) == (host, port)


@pytest.mark.parametrize("host", ["", " ", "a b", "a/b", "\0", "\ud800", "é", "[::1", "user@host", "**"])
def test_what_no_host_is_called_is_refused(host):
    with pytest.raises(ProviderError, match="not an endpoint"):
        parse_tcp(f"tcp://{host}:5")


@given(st.text(max_size=12).map("tcp://".__add__) | st.text(max_size=20))
def test_any_text_is_an_endpoint_or_refused(text):
    try:
        place = parse_tcp(text)
    except ProviderError:
        return
    assert parse_tcp(place.endpoint) == place


@pytest.mark.parametrize(("host", "number"), [("*", "0.0.0.0"), ("0.0.0.0", "0.0.0.0"), ("[::]", "::")])
def test_everywhere_is_bound_as_a_number_and_told_as_an_own_address(monkeypatch, host, number):
    monkeypatch.setattr(address, "own_address", lambda: "10.1.2.3")
    assert to_bind(f"tcp://{host}:5") == (number, 5)
    assert to_advertise(f"tcp://{host}:0", 4711) == "tcp://10.1.2.3:4711"


def test_a_name_is_bound_as_its_number_and_told_as_the_name(monkeypatch):
    monkeypatch.setattr(address, "resolve", lambda host: {"node": ["10.0.0.7", "fd00::7"]}[host])
    assert to_bind("tcp://node:0") == ("10.0.0.7", 0)
    assert to_advertise("tcp://node:0", 4711) == "tcp://node:4711"


@pytest.mark.parametrize("number", ["127.0.1.1", "::1"])
def test_a_name_that_only_this_host_can_reach_is_warned_of(monkeypatch, caplog, number):
    monkeypatch.setattr(address, "resolve", lambda host: [number])
    to_bind("tcp://node:0")
    assert f"node is {number} here, which no other host can reach" in caplog.text
    caplog.clear()
    to_bind("tcp://localhost:0")
    to_bind(f"tcp://[{number}]:0" if ":" in number else f"tcp://{number}:0")
    assert not caplog.text


def test_numbers_need_no_name_service():
    assert resolve("127.0.0.1") == ["127.0.0.1"]
    assert resolve("::1") == ["::1"]
    assert not needs_ipv6("127.0.0.1")
    assert needs_ipv6("::1")


@pytest.mark.parametrize("host", ["a" * 300, "..", "\ud800", "a\0b"])
def test_a_host_without_an_address_is_refused(host):
    with pytest.raises(ProviderError, match="has no address"):
        resolve(host)


def test_no_route_at_all_leaves_this_host(monkeypatch):
    monkeypatch.setattr(address, "_FAR_AWAY", [])
    assert own_address() == "127.0.0.1"
