"""`make release`: builds the sdist and the wheel, judges both, and writes the release's notes.

The wheel is built from the unpacked sdist, so that it proves the sdist whole. Nothing is tagged: the
command for that is printed last, and only when nothing is wrong. Exit code 1 when something is.
"""

import configparser
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Any

import typer

from tests.repo.tree import PACKAGES, ROOT, present
from tests.repo.version import project_version

__all__ = ["built", "notes", "sdist_faults", "unready", "wheel_faults"]

_STEM = "lorax_openai"
"""The distribution's name as it stands in the names of files."""


def built(root: Path, folder: Path) -> tuple[Path, Path]:
    """The sdist of a checkout and the wheel made from it, both in `folder`.

    Raises:
        subprocess.CalledProcessError: When hatchling fails; its words are in `stderr`.
    """
    _hatchling(root, "sdist", folder)
    (sdist,) = folder.glob("*.tar.gz")
    with tempfile.TemporaryDirectory() as unpacked:
        with tarfile.open(sdist) as archive:
            archive.extractall(unpacked, filter="data")
        (source,) = Path(unpacked).iterdir()
        _hatchling(source, "wheel", folder)
    (wheel,) = folder.glob("*.whl")
    return sdist, wheel


def sdist_faults(sdist: Path, root: Path) -> Iterator[str]:
    """Each file of a checkout that its sdist lacks, and each that has no place in it."""
    top = f"{_STEM}-{project_version(root)}"
    with tarfile.open(sdist) as archive:
        held = {member.name for member in archive if not member.isdir()}
    wanted = {f"{top}/{path.relative_to(root).as_posix()}" for path in present(root)}
    yield from _differences(sdist.name, held, wanted | {f"{top}/PKG-INFO"})


def wheel_faults(wheel: Path, root: Path) -> Iterator[str]:
    """Each file that a wheel lacks or should not hold, and each word about itself that is untrue."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    information = f"{_STEM}-{project['version']}.dist-info"
    wanted = {
        path.relative_to(root / folder).as_posix()
        for path in present(root)
        for package, folder in PACKAGES.items()
        if path.is_relative_to(root / folder / package)
    }
    wanted |= {f"{package}/py.typed" for package in PACKAGES}
    wanted |= {
        f"{information}/{name}"
        for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")
    }
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if not name.endswith("/")}
        yield from _differences(wheel.name, held, wanted)
        if wanted <= held:
            metadata = archive.read(f"{information}/METADATA")
            entries = archive.read(f"{information}/entry_points.txt").decode()
            yield from _untrue(wheel.name, project, metadata, entries)


def notes(changelog: str, version: str) -> str:
    """What the changelog says of a version, in Markdown.

    Raises:
        ValueError: When it says nothing, has no date, or keeps changes back for a later version.
    """
    sections: list[str] = re.split(r"^## (.*)$", changelog, flags=re.MULTILINE)[1:]
    texts = {
        heading: text.strip() for heading, text in zip(sections[::2], sections[1::2], strict=True)
    }
    dated = re.compile(rf"\[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d")
    entry = next((text for heading, text in texts.items() if dated.fullmatch(heading)), "")
    if not entry:
        raise ValueError(
            f"CHANGELOG.md: nothing under ## [{version}] - YYYY-MM-DD: "
            "give what is [Unreleased] its version and date"
        )
    if texts.get("[Unreleased]"):
        raise ValueError(
            f"CHANGELOG.md: what stands under [Unreleased] is in {version} too: move it there"
        )
    return entry + "\n"


def unready(root: Path) -> Iterator[str]:
    """Why this commit cannot become the release of its version."""
    version = project_version(root)
    if changed := _git(root, "status", "--porcelain"):
        yield f"not committed: {', '.join(line[3:] for line in changed.splitlines())}"
    if _git(root, "tag", "--list", f"v{version}"):
        yield f"v{version} is tagged already: raise the version in pyproject.toml"


def _hatchling(root: Path, target: str, folder: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--target", target]
    subprocess.run(
        [*command, "--directory", str(folder)], cwd=root, check=True, capture_output=True, text=True
    )


def _differences(archive: str, held: AbstractSet[str], wanted: AbstractSet[str]) -> Iterator[str]:
    for name in sorted(wanted - held):
        yield f"{archive}: lacks {name}"
    for name in sorted(held - wanted):
        yield f"{archive}: should not hold {name}"


def _untrue(name: str, project: dict[str, Any], metadata: bytes, entries: str) -> Iterator[str]:
    told = BytesHeaderParser().parsebytes(metadata)
    for header, key in (
        ("Name", "name"),
        ("Version", "version"),
        ("License-Expression", "license"),
        ("Requires-Python", "requires-python"),
    ):
        if told[header] != project[key]:
            yield f"{name}: {header} is {told[header]}, and {project[key]} in pyproject.toml"
    groups = {"console_scripts": project["scripts"], **project["entry-points"]}
    parser = configparser.ConfigParser(delimiters="=")
    parser.read_string(entries)
    for group, wanted in groups.items():
        held = dict(parser[group]) if parser.has_section(group) else {}
        if held != wanted:
            yield f"{name}: {group} is {held}, and {wanted} in pyproject.toml"


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=root, check=True, capture_output=True, text=True
    ).stdout.rstrip()


def _release(root: Path) -> Iterator[str]:
    """Make the release of a checkout in its dist/; each fault in one line."""
    version, dist = project_version(root), root / "dist"
    yield from unready(root)
    shutil.rmtree(dist, ignore_errors=True)
    sdist, wheel = built(root, dist)
    yield from sdist_faults(sdist, root)
    yield from wheel_faults(wheel, root)
    try:
        told = notes((root / "CHANGELOG.md").read_text("utf-8"), version)
    except ValueError as error:
        yield str(error)
    else:
        (dist / f"{_STEM}-{version}.md").write_text(told, "utf-8")


def main() -> None:
    """Release this checkout, as far as that can be taken back."""
    faults = list(_release(ROOT))
    for fault in faults:
        typer.echo(f"release: {fault}", err=True)
    if faults:
        raise typer.Exit(1)
    version = project_version(ROOT)
    for path in sorted((ROOT / "dist").iterdir()):
        typer.echo(f"dist/{path.name}")
    # verbatim, or git takes the headings of the notes for comments
    typer.echo("\nAll is as it must be. To tag it:\n")
    typer.echo(f"git tag --annotate --cleanup=verbatim --file=dist/{_STEM}-{version}.md v{version}")


if __name__ == "__main__":
    typer.run(main)
