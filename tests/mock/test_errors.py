"""The envelope's contents, one by one."""

import pytest

from lorax_mock.errors import LoraxRefusal, generation, incomplete, overloaded, validation


@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        (validation("x"), (422, "validation", "Input validation error: x")),
        (generation("x"), (424, "generation", "Request failed during generation: x")),
        (overloaded(), (429, "overloaded", "Model is overloaded")),
        (incomplete(), (500, "incomplete_generation", "Incomplete generation")),
    ],
)
def test_status_type_and_message(refusal: LoraxRefusal, told: tuple[int, str, str]) -> None:
    """Each refusal has the router's status, type and message."""
    assert (refusal.status, refusal.error_type, refusal.message) == told


def test_what_the_metrics_call_it_may_differ_from_the_type() -> None:
    """A failed adapter is counted under another name than its error type."""
    assert generation("x", "download_adapter").counted_as == "download_adapter"
    assert incomplete().counted_as == "incomplete"
