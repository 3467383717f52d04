"""What the package raises, and says."""

from lorax_contracts.errors import ContractsError, UnknownName, printable


def test_an_unknown_name_knows_the_nearest_whatever_its_case() -> None:
    """The nearest name is found although the case differs, and is spelled as it is."""
    error = UnknownName("law", "oai-chat-01", ["OAI-CHAT-001", "LORAX-GEN-001"])
    assert error.nearest == "OAI-CHAT-001"
    assert str(error) == "no law is called 'oai-chat-01'; the nearest is OAI-CHAT-001"
    assert isinstance(error, ContractsError)


def test_with_nothing_known_nothing_is_proposed() -> None:
    """An empty list has no nearest."""
    assert UnknownName("law", "x", []).nearest is None


def test_what_a_terminal_would_obey_or_hide_is_escaped() -> None:
    """Servers' words end up in terminals and logs; letters of any script stay."""
    assert printable("é 日本 😀") == "é 日本 😀"
    assert printable("\x1b[31m\r\n\x9b\u202e\ud800") == r"\x1b[31m\r\n\x9b\u202e\ud800"
    assert printable("###[error]##[") == r"##\x23[error]#\x23["
