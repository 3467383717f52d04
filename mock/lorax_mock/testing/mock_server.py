"""The handle by which a test uses a running mock: its address, its script, its journal.

How requests reach it is the client's business: a socket to another process (`lorax_mock.plugin`), or
no socket at all (`lorax_mock.testing.inprocess`).
"""

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx  # a type alone: whoever makes the mock brings the client

__all__ = ["MockServer"]


@dataclass
class MockServer:
    """A running mock."""

    url: str
    model_id: str
    adapters: list[str]
    _http: "httpx.Client" = field(repr=False)

    def script(self, script: str | dict[str, Any]) -> None:
        """Replace the script; raises ValueError with the line and key of a mistake."""
        text = script if isinstance(script, str) else json.dumps(script)
        reply = self._http.put("/_mock/script", content=text)
        if reply.status_code != 200:
            raise ValueError(reply.json()["error"])

    def faults(self, *ids: str) -> None:
        """Give the next requests these faults, one each, in order."""
        self.script({"rules": [{"name": "faults", "sequence": [{"fault": one} for one in ids]}]})

    def shard(self, state: str) -> None:
        """Make the shard `failing` (every forward pass fails), `gone`, or `well` again."""
        reply = self._http.put("/_mock/health", json={"shard": state})
        if reply.status_code != 200:
            raise ValueError(reply.json()["error"])

    @property
    def journal(self) -> list[dict[str, Any]]:
        """The journal's entries, once no request is being answered any more."""
        entries: list[dict[str, Any]] = self._told()["entries"]
        return entries

    @property
    def manners(self) -> list[str]:
        """The journal's list of what clients should not have done."""
        found: list[str] = self._told()["manners"]
        return found

    @property
    def doubts(self) -> list[str]:
        """The journal's list of what clients may have done wrong."""
        found: list[str] = self._told()["doubts"]
        return found

    def _told(self) -> dict[str, Any]:
        told: dict[str, Any] = self._http.get("/_mock/journal?wait=1").json()
        return told

    def reset(self) -> None:
        """Forget rules and journal, and renew the shard."""
        self._http.post("/_mock/reset").raise_for_status()
