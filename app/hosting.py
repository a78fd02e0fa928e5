"""The server that a mounted dashboard runs in: does it shut down?

A mounted app is told last of all: uvicorn waits first for all answers to be complete, and an event stream never is. So
somebody with an open page would keep the host from ending, for ever. What can be seen in time, without patching the
server, is the handler that it has set for Ctrl-C and SIGTERM: a method of the server, whose `should_exit` tells.
(uvicorn, also under gunicorn's worker and with several workers; of others nothing is known, and nothing is done.)
"""

import signal

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def host_is_ending() -> bool:
    """Tell whether the server of this process has been asked to end. From any thread; never blocks."""
    servers = [getattr(signal.getsignal(number), "__self__", None) for number in SIGNALS]
    return any(getattr(server, "should_exit", None) is True for server in servers)
