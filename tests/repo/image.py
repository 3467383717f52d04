"""The Dockerfile, read: does it do what `make run` does, on files that are there, as nobody special."""

import inspect
import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lorax_mock.__main__ import serve
from lorax_proxy.config import Settings

__all__ = ["Instruction", "faults", "instructions"]

_INSTALLS = (
    "--require-hashes -r requirements/build.txt -r requirements/run.txt",
    "--no-deps --no-build-isolation",
)
"""The two steps that make the environment, as flags: in the Makefile and in the Dockerfile."""

_MOCK_OPTIONS = inspect.signature(serve).parameters


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction, its continuation lines joined."""

    name: str
    rest: str
    stage: int

    def arguments(self) -> Sequence[str]:
        """An exec form's words, or the words of the line; options (`--x=y`) left out."""
        if self.rest.startswith("["):
            return list(json.loads(self.rest))
        return [word for word in self.rest.split() if not word.startswith("--")]


def instructions(text: str) -> Iterator[Instruction]:
    """The instructions of a Dockerfile; stage 0 is before the first FROM."""
    stage = 0
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        name, _, rest = line.partition(" ")
        if not name:
            continue
        stage += name == "FROM"
        yield Instruction(name, rest.strip(), stage)


def faults(root: Path) -> Iterator[str]:
    """Each thing that is wrong with the Dockerfile of a checkout, in one line."""
    text = (root / "Dockerfile").read_text("utf-8")
    steps = list(instructions(text))
    yield from _bases(steps)
    yield from _copies(steps, root)
    yield from _installs(steps, root)
    yield from _last_stage(steps, root)


def _bases(steps: Sequence[Instruction]) -> Iterator[str]:
    defaults = dict(s.rest.split("=", 1) for s in steps if s.name == "ARG" and "=" in s.rest)
    for step in steps:
        if step.name != "FROM":
            continue
        image = re.sub(r"\$\{(\w+)\}", lambda m: defaults.get(m[1], ""), step.rest.split()[0])
        name, _, tag = image.partition(":")
        if not re.match(r"\d+\.\d+\.\d+", tag):
            yield f"FROM {image}: pin the base to a full version"
        if "." in name:
            yield f"FROM {image}: names a registry's host"


def _copies(steps: Sequence[Instruction], root: Path) -> Iterator[str]:
    context = (root / ".dockerignore").read_text("utf-8").splitlines()
    allowed = [line[1:].rstrip("/") for line in context if line.startswith("!")]
    sources: list[str] = []
    for step in steps:
        if step.name in {"COPY", "ADD"} and "--from=" not in step.rest:
            sources += step.arguments()[:-1]
    for source in sources:
        if not (root / source).exists():
            yield f"COPY {source}: there is no such path"
        elif not any(source == path or source.startswith(f"{path}/") for path in allowed):
            yield f"COPY {source}: .dockerignore keeps it out"
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    for package in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        if not any(package == source or package.startswith(f"{source}/") for source in sources):
            yield f"{package}: is in the wheel, and not copied"


def _installs(steps: Sequence[Instruction], root: Path) -> Iterator[str]:
    makefile = re.sub(r"\s+", " ", (root / "Makefile").read_text("utf-8"))
    runs = [(number, s.rest) for number, s in enumerate(steps) if s.name == "RUN"]
    for flags in _INSTALLS:
        if flags not in makefile:
            yield f"make run does not install with {flags}"
        if not any(flags in re.sub(r"\s+", " ", rest) for _, rest in runs):
            yield f"no RUN installs with {flags}"
    locks = next((number for number, rest in runs if _INSTALLS[0] in rest), 0)
    early = [
        s.rest
        for s in steps[:locks]
        if s.name == "COPY" and any(not a.startswith("requirements/") for a in s.arguments())
    ]
    if early:
        yield f"COPY {early[0]}: a change of it would install every dependency anew"


def _last_stage(steps: Sequence[Instruction], root: Path) -> Iterator[str]:
    last = [step for step in steps if step.stage == steps[-1].stage]
    if steps[-1].stage < 2:
        yield "one stage alone: what builds would ship"
    named: Mapping[str, Instruction] = {step.name: step for step in last}
    user = named["USER"].rest if "USER" in named else "root"
    if not re.fullmatch(r"[1-9]\d*(:[1-9]\d*)?", user):
        yield f"USER {user}: not a number above 0, which is all that a cluster can check"
    ports = {str(Settings.model_fields["port"].default), str(_MOCK_OPTIONS["port"].default)}
    exposed = {*named["EXPOSE"].arguments()} if "EXPOSE" in named else set[str]()
    if exposed != ports:
        yield f"EXPOSE {' '.join(sorted(exposed))}: the defaults are {' '.join(sorted(ports))}"
    known = {f"LORAX_PROXY_{name.upper()}" for name in Settings.model_fields}
    known |= {f"LORAX_MOCK_{name.upper()}" for name in _MOCK_OPTIONS}
    for step in last:
        if step.name == "ENV":
            for variable in re.findall(r"\b(LORAX_\w+)=", step.rest):
                if variable not in known:
                    yield f"ENV {variable}: no program reads it"
    scripts = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
    command = named.get("CMD")
    if command is None or not command.rest.startswith("["):
        yield "CMD: in exec form, or SIGTERM ends at a shell"
    elif command.arguments()[0] not in scripts:
        yield f"CMD {command.arguments()[0]}: no such command"
    health = named.get("HEALTHCHECK")
    if health is None or not re.search(r"CMD \[", health.rest):
        yield "HEALTHCHECK: in exec form"
    if "STOPSIGNAL" not in named or named["STOPSIGNAL"].rest != "SIGTERM":
        yield "STOPSIGNAL: SIGTERM is what both programs stop for"
