"""`python -m lorax_mock.testing.tether MODULE ARGUMENT...`: a command that ends when its parent does.

The parent holds the other end of stdin. However it dies, also by SIGKILL, stdin ends then, and the command
gets the SIGTERM that it would have got from a parent that still could. So no server outlives a test run that
was killed or timed out.
"""

import os
import runpy
import signal
import sys
import threading

__all__ = ["main"]


def main() -> None:
    """Run the module that the arguments name as `python -m` would."""
    if len(sys.argv) < 2:
        sys.exit("usage: python -m lorax_mock.testing.tether MODULE ARGUMENT...")
    threading.Thread(target=_wait, args=(os.getpid(),), daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _wait(process: int) -> None:
    descriptor = sys.stdin.fileno()
    while os.read(descriptor, 4096):
        pass
    os.kill(process, signal.SIGTERM)


if __name__ == "__main__":
    main()
