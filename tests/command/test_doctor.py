"""The doctor tells what is installed, and hands over to the proxy's own check."""

import subprocess
import sys
from pathlib import Path

import pytest

from lorax_openai.doctor import lacking


def test_what_an_extra_lacks_is_named() -> None:
    """Extras of our own and what needs no extra are left out; bounds and markers do not matter."""
    requirements = [
        "typer>=0.19",
        "no-such-base",
        "pytest>=8; extra == 'pytest'",
        "lorax-openai[mock]; extra == 'pytest'",
        'no-such-one<2,>=1; extra == "mock"',
        "no.such_two>=0.19; (sys_platform != 'win32') and extra == 'mock'",
    ]
    assert dict(lacking(requirements)) == {"mock": ["no-such-one", "no.such_two"]}


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
