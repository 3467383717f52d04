"""Probes of LoRAX's wire: silent on the mock, and on the mock with one thing wrong they name it."""

from collections.abc import Callable, Generator

import pytest

from lorax_contracts.check import Options, check_server
from tests.contracts.detection import shown
from tests.contracts.inprocess import Changed, Recorded
from tests.contracts.planted.native import PLANTED, Planted


@pytest.fixture(scope="module")
def recorded() -> Generator[Callable[[str], Recorded]]:
    """What a right LoRAX of a kind says, asked for once."""
    kinds: dict[str, Recorded] = {}

    def of(kind: str) -> Recorded:
        if kind not in kinds:
            kinds[kind] = Recorded(kind)
        return kinds[kind]

    yield of
    for one in kinds.values():
        one.close()


@pytest.mark.parametrize("kind", ["embed", "classify"])
def test_an_encoder_is_judged_for_what_it_does(
    kind: str, recorded: Callable[[str], Recorded]
) -> None:
    """It refuses to generate, and that is right; its vectors or classes are looked at."""
    verdict = check_server(Changed(recorded(kind), lambda exchange: exchange), Options(strict=True))
    assert verdict.kind == "lorax"
    assert verdict.findings == ()
    family = {"embed": "LORAX-EMB-001", "classify": "LORAX-CLS-001"}[kind]
    assert verdict.why_not(family) == ""
    assert "POST /generate is 424" in verdict.why_not("LORAX-GEN-001")


def test_a_text_model_is_not_asked_for_what_would_turn_it_unhealthy(
    recorded: Callable[[str], Recorded],
) -> None:
    """A checker only reads: the laws about vectors are said not to be judged."""
    right = Changed(recorded("generate"), lambda exchange: exchange)
    verdict = check_server(right, Options(examples=0))
    assert "unhealthy" in verdict.why_not("LORAX-EMB-001")
    assert verdict.why_not("LORAX-GEN-001") == ""


@pytest.mark.parametrize("kind", ["generate", "embed", "classify"])
def test_what_was_recorded_is_right(kind: str, recorded: Callable[[str], Recorded]) -> None:
    """What the planted servers are made of breaks no law."""
    found = shown(Changed(recorded(kind), lambda exchange: exchange), "lorax")
    assert found.findings == {}
    assert found.unclaimed == ()


@pytest.mark.parametrize("planted", PLANTED, ids=[one.name for one in PLANTED])
def test_one_thing_wrong_is_found_under_its_law(
    planted: Planted, recorded: Callable[[str], Recorded]
) -> None:
    """That law is named and no other, by a step that claims it, with a request that shows it."""
    found = shown(Changed(recorded(planted.kind), planted.change), "lorax")
    named, wanted = sorted(found.findings), sorted({planted.law} | planted.also.keys())
    assert named == wanted, f"the server breaks {wanted} and the checker names {named}"
    assert found.findings[planted.law].exchange is not None
    assert "\n".join(found.unclaimed) == ""
