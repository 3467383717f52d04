"""A port and uvicorn on it: what can go wrong before it listens."""

import socket

import pytest

from lorax_proxy.errors import SettingsInvalid
from lorax_proxy.serving import listen


def test_a_free_port_is_taken_at_once() -> None:
    """Whoever connects after it waits in the queue, before anything is served."""
    with listen("127.0.0.1", 0) as listener:
        host, port = listener.getsockname()
        assert host == "127.0.0.1"
        with socket.create_connection((host, port), timeout=5):
            pass


def test_a_taken_port_says_what_to_do() -> None:
    """Also when both would be ours: the second one does not wait for the first to go."""
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(SettingsInvalid) as caught:
            listen("127.0.0.1", port)
    message = str(caught.value)
    assert message.startswith(f"port: cannot listen on 127.0.0.1:{port}: ")
    assert "--port" in message
    assert "\n" not in message


def test_a_port_that_was_just_left_can_be_taken_again() -> None:
    """A restart does not wait for the last connections' end."""
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port), timeout=5)
        server, _ = listener.accept()
        # the side that closes first keeps the port in TIME_WAIT
        server.close()
        client.recv(1)
        client.close()
    listen("127.0.0.1", port).close()


@pytest.mark.parametrize("host", ["no such host", "256.1.1.1", "127.0.0.1:8000"])
def test_a_host_that_is_none_is_named(host: str) -> None:
    """A wrong address is the setting's fault, and the message says which."""
    with pytest.raises(SettingsInvalid, match=f"host: {host} is no address"):
        listen(host, 0)


def test_an_address_of_another_machine_is_refused() -> None:
    """It is an address, but none to listen on here."""
    with pytest.raises(SettingsInvalid, match=r"cannot listen on 192\.0\.2\.1:0"):
        listen("192.0.2.1", 0)
