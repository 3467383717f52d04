"""The locks in requirements/ against what pyproject.toml and the *.in files ask for."""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

__all__ = ["faults", "pins"]

_PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(?P<version>[^ ;\\]+)")


def pins(lock: str) -> Mapping[str, str]:
    """The version of each package in a lock.

    Raises:
        ValueError: For an entry that is not pinned, or has no hash, and for an option.
    """
    found: dict[str, str] = {}
    for entry in re.sub(r"\\\n", " ", lock).splitlines():
        if not entry.strip() or entry.lstrip().startswith("#"):
            continue
        pin = _PIN.match(entry)
        if pin is None:
            raise ValueError(f"not a pinned package: {entry.strip()[:80]}")
        if "--hash=sha256:" not in entry:
            raise ValueError(f"no hash: {pin[0]}")
        found[canonicalize_name(pin["name"])] = pin["version"]
    return found


def faults(root: Path) -> Iterator[str]:
    """Each requirement that its lock does not meet, each two locks of one environment that differ."""
    folder = root / "requirements"
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    groups = project["dependency-groups"]
    run = _dependencies(project["project"], "contracts", "mock", "proxy")
    every = [*run, *_dependencies(project["project"], "pytest", "tokenizers")]
    wanted: dict[str, Sequence[str]] = {
        "build.txt": [*project["build-system"]["requires"], *_lines(folder / "build.in")],
        "run.txt": run,
        "oldest.txt": [*every, *_lines(folder / "oldest.in")],
        "installers.txt": _lines(folder / "installers.in"),
        "demo.txt": groups["demo"],
        "test.txt": groups["test"],
    }
    common = _lines(folder / "compat/common.in")
    for asked in sorted((folder / "compat").glob("*.in")):
        if asked.name != "common.in":
            wanted[f"compat/{asked.stem}.txt"] = [*common, *_lines(asked)]
    locked: dict[str, Mapping[str, str]] = {}
    for name, requirements in wanted.items():
        if not (folder / name).is_file():
            yield f"{name}: is missing; run make locks"
            continue
        try:
            locked[name] = pins((folder / name).read_text("utf-8"))
        except ValueError as error:
            yield f"{name}: {error}"
            continue
        for text in requirements:
            yield from _unmet(name, Requirement(text), locked[name])
    yield from _above_oldest(every, locked.get("oldest.txt", {}))
    # build and run are installed together, demo and test on top, a compatibility suite beside build
    environment = ("build.txt", "run.txt", "demo.txt", "test.txt")
    together = [(one, other) for one in environment for other in environment if one < other]
    together += [("build.txt", name) for name in locked if name.startswith(("compat/", "oldest"))]
    for one, other in together:
        for package, version in locked.get(one, {}).items():
            if locked.get(other, {}).get(package, version) != version:
                yield f"{package}: {version} in {one}, {locked[other][package]} in {other}"


def _dependencies(project: Mapping[str, Any], *extras: str) -> list[str]:
    """What the project itself and these extras ask for, other extras of its own left out."""
    own = f"{project['name']}["
    listed = [*project["dependencies"]]
    for extra in extras:
        listed += project["optional-dependencies"][extra]
    return [text for text in listed if not text.startswith(own)]


def _above_oldest(requirements: Sequence[str], locked: Mapping[str, str]) -> Iterator[str]:
    """Each dependency whose lowest allowed version is not the one that `make oldest` tries."""
    for requirement in map(Requirement, requirements):
        version = locked.get(canonicalize_name(requirement.name))
        lowest = [Version(each.version) for each in requirement.specifier if each.operator == ">="]
        if version is not None and lowest != [Version(version)]:
            yield f"oldest.txt: {requirement.name}=={version} is not the lowest of {requirement}"


def _unmet(name: str, requirement: Requirement, locked: Mapping[str, str]) -> Iterator[str]:
    version = locked.get(canonicalize_name(requirement.name))
    if version is None:
        yield f"{name}: lacks {requirement}; run make locks"
    elif not requirement.specifier.contains(version, prereleases=True):
        yield f"{name}: {requirement.name}=={version} is not {requirement.specifier}; run make locks"


def _lines(path: Path) -> Sequence[str]:
    lines = path.read_text("utf-8").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]
