"""The release is made whole or not at all, and each thing that is wrong with it is named."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.release.release import built, notes, sdist_faults, unready, wheel_faults
from tests.repo.tree import ROOT, present
from tests.repo.version import project_version

VERSION = project_version(ROOT)
STEM = f"lorax_openai-{VERSION}"


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", *arguments]
    return subprocess.run(
        command, cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """This repository as a clean checkout of its own, whose changelog is ready for the release."""
    root = tmp_path / "checkout"
    for path in present(ROOT):
        copy = root / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    log = root / "CHANGELOG.md"
    before, _, _ = log.read_text("utf-8").partition("## [")
    log.write_text(
        f"{before}## [Unreleased]\n\n## [{VERSION}] - 2026-01-31\n\n### Added\n\n- All.\n", "utf-8"
    )
    _git(root, "init", "--quiet")
    _git(root, "add", ".")
    _git(root, "commit", "--quiet", "--message=all")
    return root


def _release(checkout: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "tests.release.release"],
        cwd=checkout,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist and the wheel of this checkout."""
    return built(ROOT, tmp_path_factory.mktemp("dist"))


@pytest.mark.slow
def test_a_release_is_made_and_can_be_tagged_as_told(checkout: Path) -> None:
    """Both archives, and the notes; the printed command tags with their headings kept."""
    done = _release(checkout)
    assert (done.returncode, done.stderr) == (0, "")
    *told, command = done.stdout.splitlines()
    assert told[:3] == [
        f"dist/{STEM}-py3-none-any.whl",
        f"dist/{STEM}.md",
        f"dist/{STEM}.tar.gz",
    ]
    assert all((checkout / path).is_file() for path in told[:3])
    assert _git(checkout, "tag") == ""
    _git(checkout, *command.split()[1:])
    said = _git(checkout, "tag", "--list", "--format=%(contents)", f"v{VERSION}")
    assert said == "### Added\n\n- All."


@pytest.mark.slow
def test_a_release_that_is_not_ready_names_every_reason(checkout: Path) -> None:
    """What is not committed, a version that is taken, a changelog without it; no tag is offered."""
    _git(checkout, "tag", f"v{VERSION}")
    (checkout / "CHANGELOG.md").write_text("## [Unreleased]\n\n- All.\n", "utf-8")
    (checkout / "proxy/lorax_proxy/left.py").write_text("", "utf-8")
    done = _release(checkout)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "release: not committed: CHANGELOG.md, proxy/lorax_proxy/left.py",
        f"release: v{VERSION} is tagged already: raise the version in pyproject.toml",
        (
            f"release: CHANGELOG.md: nothing under ## [{VERSION}] - YYYY-MM-DD: "
            "give what is [Unreleased] its version and date"
        ),
    ]


@pytest.mark.slow
def test_a_clean_checkout_is_ready(checkout: Path) -> None:
    """Archives and caches, which git ignores, are no changes."""
    (checkout / "dist").mkdir()
    (checkout / "dist/old.whl").touch()
    assert list(unready(checkout)) == []


@pytest.mark.slow
def test_the_archives_of_this_checkout_hold_what_they_should(archives: tuple[Path, Path]) -> None:
    """Everything that git tracks is in the sdist, and the three packages in the wheel."""
    sdist, wheel = archives
    assert "\n".join([*sdist_faults(sdist, ROOT), *wheel_faults(wheel, ROOT)]) == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Makefile", "contracts/lorax_contracts/data/laws/openai.toml"])
def test_what_the_sdist_lacks_is_named(
    archives: tuple[Path, Path], tmp_path: Path, name: str
) -> None:
    """And what has no place in it, a cache say."""
    sdist = tmp_path / f"{STEM}.tar.gz"
    with tarfile.open(archives[0]) as whole, tarfile.open(sdist, "w:gz") as cut:
        for member in whole:
            if member.name == f"{STEM}/{name}":
                member.name = f"{STEM}/proxy/__pycache__/x.pyc"
            cut.addfile(member, whole.extractfile(member))
    assert list(sdist_faults(sdist, ROOT)) == [
        f"{STEM}.tar.gz: lacks {STEM}/{name}",
        f"{STEM}.tar.gz: should not hold {STEM}/proxy/__pycache__/x.pyc",
    ]


Change = Callable[[dict[str, bytes]], None]


def _without(name: str) -> Change:
    def change(held: dict[str, bytes]) -> None:
        del held[name]

    return change


def _with(name: str) -> Change:
    def change(held: dict[str, bytes]) -> None:
        held[name] = b""

    return change


def _saying(name: str, old: bytes, new: bytes) -> Change:
    def change(held: dict[str, bytes]) -> None:
        assert old in held[name]
        held[name] = held[name].replace(old, new)

    return change


def _changed(wheel: Path, folder: Path, change: Change) -> Path:
    with zipfile.ZipFile(wheel) as whole:
        held = {name: whole.read(name) for name in whole.namelist()}
    change(held)
    with zipfile.ZipFile(folder / "a.whl", "w") as changed:
        for name, content in held.items():
            changed.writestr(name, content)
    return folder / "a.whl"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (_without("lorax_mock/py.typed"), "lacks lorax_mock/py.typed"),
        (_without("lorax_proxy/core/stops.py"), "lacks lorax_proxy/core/stops.py"),
        (
            _without(f"{STEM}.dist-info/licenses/LICENSE"),
            f"lacks {STEM}.dist-info/licenses/LICENSE",
        ),
        (_with("tests/conftest.py"), "should not hold tests/conftest.py"),
        (_with("lorax_mock/__pycache__/a.pyc"), "should not hold lorax_mock/__pycache__/a.pyc"),
        (
            _saying(f"{STEM}.dist-info/METADATA", b"\nLicense-Expression: Apache", b"\nLicense: X"),
            "License-Expression is None, and Apache-2.0 in pyproject.toml",
        ),
        (
            _saying(f"{STEM}.dist-info/METADATA", b"\nVersion: ", b"\nVersion: 9."),
            f"Version is 9.{VERSION}, and {VERSION} in pyproject.toml",
        ),
        (
            _saying(f"{STEM}.dist-info/entry_points.txt", b"[pytest11]", b"[pytest12]"),
            "pytest11 is {}, and {'lorax_mock': 'lorax_mock.plugin'} in pyproject.toml",
        ),
    ],
)
def test_what_is_wrong_with_a_wheel_is_named(
    archives: tuple[Path, Path], tmp_path: Path, change: Change, fault: str
) -> None:
    """Files, and what it says of itself."""
    wheel = _changed(archives[1], tmp_path, change)
    assert list(wheel_faults(wheel, ROOT)) == [f"a.whl: {fault}"]


@pytest.mark.slow
def test_a_type_marker_that_is_gone_everywhere_is_missed(
    archives: tuple[Path, Path], checkout: Path, tmp_path: Path
) -> None:
    """Without it type checkers would take what is typed for untyped, and say nothing."""
    (checkout / "mock/lorax_mock/py.typed").unlink()
    wheel = _changed(archives[1], tmp_path, _without("lorax_mock/py.typed"))
    assert list(wheel_faults(wheel, checkout)) == ["a.whl: lacks lorax_mock/py.typed"]


LOG = """# Changelog

## [Unreleased]

## [1.1.0] - 2026-02-03

### Added

- Much.

## [1.0.0] - 2026-01-02

- Little.

## [0.9.0] - 2025-01-02
"""


def test_the_notes_are_the_changelogs_entry() -> None:
    """Without its heading, up to the next."""
    assert notes(LOG, "1.1.0") == "### Added\n\n- Much.\n"
    assert notes(LOG, "1.0.0") == "- Little.\n"


@pytest.mark.parametrize(
    ("log", "version", "fault"),
    [
        (LOG, "1.2.0", r"nothing under ## \[1.2.0\]"),
        (LOG, "0.9.0", r"nothing under ## \[0.9.0\]"),
        (LOG, "1.1", r"nothing under ## \[1.1\]"),
        (LOG.replace(" - 2026-02-03", ""), "1.1.0", r"nothing under ## \[1.1.0\] - YYYY-MM-DD"),
        (LOG.replace("[Unreleased]", "[Unreleased]\n\n- More."), "1.1.0", "under .Unreleased. is"),
    ],
)
def test_a_changelog_that_is_not_ready_is_refused(log: str, version: str, fault: str) -> None:
    """Without the version, its date or its changes, and with changes that are left over."""
    with pytest.raises(ValueError, match=fault):
        notes(log, version)
