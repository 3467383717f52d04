"""The image's health check: the proxy or the mock, whichever runs here, answers GET /health.

Each is asked on its default port, or on the one that its variable names.
"""

import os
import sys
from http.client import HTTPConnection, HTTPException


def healthy(port: str) -> bool:
    """Whether a server on this port of the container says that it is alive."""
    connection = HTTPConnection("127.0.0.1", int(port), timeout=2)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    proxy = os.environ.get("LORAX_PROXY_PORT", "8000")
    mock = os.environ.get("LORAX_MOCK_PORT", "8080")
    sys.exit(0 if healthy(proxy) or healthy(mock) else 1)
