"""LoRAX's error objects against the router's table."""

import pytest

from lorax_contracts import loader
from lorax_contracts.judge.failures import error_misfit

ROWS = loader.table("lorax/errors")["error"]


@pytest.mark.parametrize("row", ROWS, ids=[row["type"] for row in ROWS])
def test_each_row_is_right_and_its_neighbours_are_not(row: dict[str, object]) -> None:
    """Status, words, type: each is missed when it is wrong, and the status does not count in streams."""
    document = {"error": f"{row['begins']}x", "error_type": row["type"]}
    status = int(str(row["status"]))
    assert error_misfit(document, status, in_stream=False) is None
    assert error_misfit(document, 200, in_stream=True) is None
    for wrong, law in (
        (({**document, "error": "x"}, status), "LORAX-ERR-002"),
        ((document, status + 1), "LORAX-ERR-002"),
        (({**document, "error_type": "x"}, status), "LORAX-ERR-001"),
        (({"error_type": row["type"], "error": document["error"]}, status), "LORAX-ERR-001"),
    ):
        misfit = error_misfit(*wrong, in_stream=False)
        assert misfit is not None
        assert misfit[0] == law
