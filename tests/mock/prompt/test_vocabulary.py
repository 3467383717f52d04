"""The entries behind the ids."""

from lorax_mock.prompt.vocabulary import SPECIAL, piece_of, vocabulary


def test_every_byte_is_an_entry_and_its_own_id() -> None:
    """So any text can be spelled."""
    assert vocabulary()[:256] == [bytes([byte]) for byte in range(256)]


def test_entries_are_unique_and_leave_room_for_special_ids() -> None:
    """One id a token."""
    entries = vocabulary()
    assert len(set(entries)) == len(entries) < min(SPECIAL.values())


def test_pieces_use_the_byte_alphabet() -> None:
    """Space and line feed have visible stand-ins, and no two bytes share one."""
    assert piece_of(b" the\n") == "ĠtheĊ"
    assert len(set(piece_of(bytes(range(256))))) == 256
