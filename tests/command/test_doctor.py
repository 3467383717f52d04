"""The doctor tells what is installed, and hands over to the proxy's own check."""

import subprocess
import sys
from pathlib import Path

import pytest

from lorax_openai.doctor import lacking


def test_what_an_extra_lacks_is_named() -> None:
    """What needs no extra is left out; bounds and markers do not matter."""
    requirements = [
        "typer>=0.19",
        "no-such-base",
        "pytest>=8; extra == 'pytest'",
        'no-such-one<2,>=1; extra == "mock"',
        "no.such_two>=0.19; (sys_platform != 'win32') and extra == 'mock'",
    ]
    assert dict(lacking(requirements)) == {"mock": ["no-such-one", "no.such_two"]}


def test_an_extra_lacks_what_those_within_it_lack() -> None:
    """Followed however deep, each name once, in whatever order they are written, and round a circle."""
    requirements = [
        "lorax-openai[all]; extra == 'pytest'",
        "no-such-client; extra == 'pytest'",
        "lorax-openai[mock, proxy]>=0; extra == 'all'",
        "lorax-openai[pytest]; extra == 'all'",
        "no-such-one; extra == 'mock'",
        "no-such-one; extra == 'proxy'",
        "pytest; extra == 'contracts'",
        "lorax-openai[contracts]; extra == 'whole'",
    ]
    assert dict(lacking(requirements)) == {
        "pytest": ["no-such-client", "no-such-one"],
        "all": ["no-such-one", "no-such-client"],
        "mock": ["no-such-one"],
        "proxy": ["no-such-one"],
    }


@pytest.mark.slow
def test_it_tells_what_is_here_and_what_the_settings_lead_to() -> None:
    """Each part, then the proxy's findings, with their exit code."""
    done = subprocess.run(
        [str(Path(sys.prefix, "bin/lorax-openai")), "doctor", "--upstream=http://127.0.0.1:1"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (1, "")
    head, *parts, last = done.stdout.splitlines()
    assert head.startswith("lorax-openai ")
    assert sys.executable in head
    assert parts == [
        *("ok     lorax-proxy", "ok     lorax-mock", "ok     lorax-contracts, lorax-openai check"),
        *("ok     the fixtures of pytest's plugin", "ok     lorax-mock serve --tokenizer"),
    ]
    assert last.startswith("fault  upstream 'default': http://127.0.0.1:1 could not be reached")
