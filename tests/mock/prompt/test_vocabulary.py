"""The entries behind the ids."""

from lorax_mock.prompt.vocabulary import SPECIAL, piece_of, vocabulary


def test_every_byte_is_an_entry_and_its_own_id() -> None:
    """Every byte is a token whose id is its value, so any text can be spelled."""
    assert vocabulary()[:256] == [bytes([byte]) for byte in range(256)]


def test_entries_are_unique_and_leave_room_for_special_ids() -> None:
    """No two ids have the same bytes, and all are below the special ones."""
    entries = vocabulary()
    assert len(set(entries)) == len(entries) < min(SPECIAL.values())


def test_pieces_use_the_byte_alphabet() -> None:
    """Pieces show space and line feed by visible stand-ins, and no two bytes by the same."""
    assert piece_of(b" the\n") == "ĠtheĊ"
    assert len(set(piece_of(bytes(range(256))))) == 256
