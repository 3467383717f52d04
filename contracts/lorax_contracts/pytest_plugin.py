"""The laws as pytest tests of your own server.

    # conftest.py
    pytest_plugins = ["lorax_contracts.pytest_plugin"]

    @pytest.fixture(scope="session")
    def contracts_url(my_gateway):
        return my_gateway.url

    # test_gateway.py
    from lorax_contracts.pytest_plugin import each_law

    @each_law("openai")
    def test_my_gateway_keeps(law_id, contracts):
        contracts.assert_kept(law_id)

The server is checked once a session; each law is a test of its own, named by the law's id, so that
one that is broken for a reason can be marked as expected and the others stay green. A law that could
not be judged (no completions, a model that does not repeat itself) is a skipped test that says why.

Options are taken from a fixture `contracts_options`, which you may override.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import pytest

from lorax_contracts.check import Options, Verdict, check
from lorax_contracts.laws import Promise, all_laws, law
from lorax_contracts.listing import finding_lines

__all__ = ["Contracts", "contracts", "contracts_options", "contracts_url", "each_law", "law_ids"]


@dataclass(frozen=True, slots=True)
class Contracts:
    """A verdict to assert on."""

    verdict: Verdict

    def assert_kept(self, law_id: str) -> None:
        """Fails with the finding when the server broke the law, or when the run ended early.

        A law that could not be judged skips the test and says why.

        Raises:
            UnknownName: no law is called so.
        """
        wanted = law(law_id).id
        for finding in self.verdict.findings:
            if finding.law == wanted:
                pytest.fail("\n".join(finding_lines(finding, self.verdict.host)), pytrace=False)
        if self.verdict.unfinished:
            pytest.fail(f"the check ended early: {self.verdict.unfinished}", pytrace=False)
        if wanted not in self.verdict.laws:
            pytest.fail(
                f"{wanted} was not to be judged: the server is a {self.verdict.kind} server,"
                " Options(only=..., without=...) leave laws out, and our own need Options(strict=True)",
                pytrace=False,
            )
        why = self.verdict.why_not(wanted)
        if why:
            pytest.skip(why)


def law_ids(wire: str, *, strict: bool = False, without: Collection[str] = ()) -> list[str]:
    """Ids of a wire's laws.

    Args:
        wire: `openai` or `lorax`.
        strict: our own, stricter promises too.
        without: ids to leave out.

    Raises:
        UnknownName: `without` names what is no law.
    """
    left_out = {law(one).id for one in without}
    return [
        one.id
        for one in all_laws().values()
        if one.wire == wire
        and one.id not in left_out
        and (strict or one.promise is not Promise.OURS)
    ]


def each_law(
    wire: str, *, strict: bool = False, without: Collection[str] = ()
) -> Callable[[Callable[..., Any]], Any]:
    """A decorator that runs a test for each law; the test takes `law_id`."""
    return pytest.mark.parametrize("law_id", law_ids(wire, strict=strict, without=without))


@pytest.fixture(scope="session")
def contracts_url() -> str:
    """The address of the server; override it."""
    raise pytest.UsageError(
        "define a session fixture contracts_url that returns your server's address"
    )


@pytest.fixture(scope="session")
def contracts_options() -> Options:
    """What to check and how; override it to name a model, a key or bounds."""
    return Options()


@pytest.fixture(scope="session")
def contracts(contracts_url: str, contracts_options: Options) -> Contracts:
    """The verdict on the server, reached once a session."""
    return Contracts(check(contracts_url, contracts_options))
