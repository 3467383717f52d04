"""The JavaScript of docs/recipes.md, run as it stands but for the port, with nothing but its locked packages."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.compat.demo import running_demo
from tests.compat.pages import files

_HERE = Path(__file__).parent
_SCRIPTS = {name: text for name, text in files("docs/recipes.md").items() if name.endswith(".mjs")}


@pytest.mark.timeout(300)
def test_each_script_prints_the_adapters_answer(tmp_path: Path) -> None:
    """Streamed, with the adapter's name in it."""
    if shutil.which("npm") is None:
        pytest.skip("no npm here")
    assert len(_SCRIPTS) == 2
    for name in ("package.json", "package-lock.json"):
        shutil.copy(_HERE / "node" / name, tmp_path)
    subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=tmp_path, check=True, timeout=200)
    with running_demo() as url:
        for name, text in _SCRIPTS.items():
            (tmp_path / name).write_text(text.replace("http://127.0.0.1:8000/v1", url), "utf-8")
            done = subprocess.run(
                ["node", name], cwd=tmp_path, check=False, capture_output=True, timeout=60
            )
            assert done.returncode == 0, done.stderr.decode()
            assert "acme/support" in done.stdout.decode(), name
