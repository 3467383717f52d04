"""Binding and the server's end; tests/mock/test_main.py tries it whole."""

import socket

import pytest

from lorax_mock.http.serving import BindError, bind


def test_a_free_port_listens_at_once() -> None:
    """Clients may connect to a bound port before the server runs."""
    with bind("127.0.0.1", 0) as listener:
        address = listener.getsockname()
        with socket.create_connection(address, timeout=1):
            pass
        with pytest.raises(BindError, match="choose another with --port"):
            bind(*address)


def test_an_address_that_is_not_ours_is_named() -> None:
    """An address that cannot be bound is refused with the address and the reason."""
    with pytest.raises(BindError, match=r"cannot listen on 192\.0\.2\.1:1: "):
        bind("192.0.2.1", 1)
