"""Installs and starts the servers of the matrix, each in an environment of its own."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tests.contracts.matrix.servers import GGUF, SERVERS, TINY, Server

__all__ = ["HOME", "MissingError", "install", "running", "version"]

HOME = Path(__file__).parents[3] / ".matrix"
"""Holds the environments, the tiny model and what servers are told; not in git."""
_LOCKS = Path(__file__).with_name("locks")

_NICE = ["nice", "-n", "10"]
_STARTS = 240.0


class MissingError(Exception):
    """A server cannot be had; the text says why, in one line."""


def _call(words: list[str], log: Path) -> None:
    with log.open("ab") as out:
        done = subprocess.run([*_NICE, *words], cwd=HOME, stdout=out, stderr=out, check=False)
    if done.returncode:
        lines = [one for one in log.read_text("utf-8", "replace").splitlines() if one.strip()]
        raise MissingError(f"the install failed: {lines[-1] if lines else 'nothing was said'}")


def _lock(server: Server) -> Path:
    return _LOCKS / f"{server.name}.{'json' if server.npm else 'txt'}"


def install(server: Server) -> None:
    """Makes the server's environment, unless it is there, with the versions of its lock.

    Without a lock the newest versions are taken and the lock is written: removing one renews it.

    Raises:
        MissingError: it cannot be made.
    """
    if server.missing:
        raise MissingError(server.missing)
    HOME.mkdir(exist_ok=True)
    folder = HOME / server.name
    if not server.install or ((folder / "ok").exists() and _lock(server).exists()):
        return
    _LOCKS.mkdir(exist_ok=True)
    if server.npm:
        _npm(server, folder)
    else:
        _pip(server, folder)
    (folder / "ok").touch()


def _npm(server: Server, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    lock, own = _lock(server), folder / "package-lock.json"
    # Where a package came from is the machine's own business, and stays out of the lock.
    words = [
        "--no-audit",
        "--no-fund",
        "--omit-lockfile-registry-resolved",
        "--prefix",
        str(folder),
    ]
    if lock.exists():
        shutil.copy(lock, own)
        wanted = json.loads(lock.read_text("utf-8"))["packages"][""]["dependencies"]
        (folder / "package.json").write_text(json.dumps({"dependencies": wanted}))
        _call(["npm", "ci", *words], HOME / f"{server.name}.log")
    else:
        for given in server.install:
            _call(["npm", "install", *words, *given], HOME / f"{server.name}.log")
        shutil.copy(own, lock)


def _pip(server: Server, folder: Path) -> None:
    log, lock = HOME / f"{server.name}.log", _lock(server)
    python = str(folder / "bin/python")
    pip = [python, "-m", "pip", "install", "-q", "--only-binary", ":all:"]
    if not (folder / "ok").exists():
        _call([sys.executable, "-m", "venv", str(folder)], log)
    if lock.exists():
        _call([*pip, "--no-deps", "-r", str(lock)], log)
    else:
        for words in server.install:
            if words[0] == "-r":
                _requirements(server, folder)
            _call([*pip, *words], log)
        told = subprocess.run([python, "-m", "pip", "freeze"], capture_output=True, check=True)
        lock.write_bytes(told.stdout)
    if server.also:
        _alias(server, folder)


def _metadata(folder: Path, package: str) -> Path | None:
    name = package.replace("-", "_")
    found = sorted(folder.glob(f"lib/python*/site-packages/{name}-*.dist-info/METADATA"))
    return found[0] if found else None


def _requirements(server: Server, folder: Path) -> None:
    """What a wheel that was installed without its dependencies asks for, torch and its kin aside."""
    metadata = _metadata(folder, server.package)
    assert metadata is not None
    wanted = [
        line.removeprefix("Requires-Dist: ")
        for line in metadata.read_text("utf-8").splitlines()
        if line.startswith("Requires-Dist: ") and "extra ==" not in line
    ]
    kept = [one for one in wanted if not one.startswith(("torch", "intel-openmp"))]
    (HOME / f"{server.name}.requirements.txt").write_text("\n".join(kept) + "\n")


def _alias(server: Server, folder: Path) -> None:
    """Lets a build under another name be found as the package itself, where it looks itself up.

    The word after the version is how vLLM's build for CPUs knows what it was built for.
    """
    metadata = _metadata(folder, server.package)
    assert metadata is not None
    text, told = metadata.read_text("utf-8"), version(server)
    alias = metadata.parent.with_name(f"{server.also}-{told}+cpu.dist-info")
    alias.mkdir(exist_ok=True)
    name = text.replace(f"\nName: {server.package}", f"\nName: {server.also}", 1)
    (alias / "METADATA").write_text(name.replace(f"\nVersion: {told}", f"\nVersion: {told}+cpu", 1))


def version(server: Server) -> str:
    """What is installed; "" when that cannot be told."""
    if server.npm:
        path = HOME / server.name / "node_modules" / server.package / "package.json"
        return str(json.loads(path.read_text())["version"]) if path.exists() else ""
    folder = HOME / server.name if server.install else Path(sys.executable).parents[1]
    metadata = _metadata(folder, server.package)
    lines = metadata.read_text("utf-8").splitlines() if metadata else []
    return next((one.split(": ")[1] for one in lines if one.startswith("Version: ")), "")


def _made(words: tuple[str, ...]) -> None:
    """Makes the tiny model, and its form for llama.cpp, where a command names them.

    Raises:
        MissingError: what makes them cannot be installed, or fails.
    """
    here = Path(__file__).parent
    named = any(TINY in word for word in words)
    if named and not (HOME / TINY / "trained.json").exists():
        trainer = next(one for one in SERVERS if one.name == "transformers")
        install(trainer)
        python = str(HOME / trainer.name / "bin/python")
        _call([python, str(here / "train.py"), str(HOME / TINY)], HOME / "train.log")
    if named and GGUF in words and not (HOME / GGUF).exists():
        python = str(HOME / "llama.cpp/bin/python")
        script = str(here / "to_gguf.py")
        _call([python, script, str(HOME / TINY), str(HOME / GGUF)], HOME / "train.log")


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
    _made(server.command)
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
            [*_NICE, *words],
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
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)
