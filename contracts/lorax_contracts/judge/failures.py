"""LoRAX's error objects, in a reply or as an event, against the router's table."""

from typing import Any

from lorax_contracts import loader, schemas
from lorax_contracts.rules import rule

__all__ = ["error_misfit"]


@rule("LORAX-ERR-001", "LORAX-ERR-002")
def error_misfit(document: Any, status: int, *, in_stream: bool) -> tuple[str, str] | None:
    """The law that an error object breaks and how, or None.

    Args:
        document: the decoded error.
        status: of the reply.
        in_stream: it came as an event, whose status is not compared.
    """
    if schemas.validate("lorax/error", document) or schemas.misordered("lorax/error", document):
        return "LORAX-ERR-001", "not {error, error_type} of a known type"
    kind = str(document["error_type"])
    rows = [row for row in loader.table("lorax/errors")["error"] if row["type"] == kind]
    begins = str(rows[0]["begins"])
    if not str(document["error"]).startswith(begins):
        return "LORAX-ERR-002", f"the message of {kind} begins with {begins!r}"
    if not in_stream and status != rows[0]["status"]:
        return "LORAX-ERR-002", f"{kind} is status {rows[0]['status']}, not {status}"
    return None
