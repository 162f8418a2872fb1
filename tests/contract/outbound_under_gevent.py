"""The checks of `resolving.py` and `uploads.py`, in a process that gevent has patched.

`python -m tests.contract.outbound_under_gevent FOLDER`, with a certificate in FOLDER, prints a JSON
object: for each check an empty text, or how it failed.
"""

from gevent import monkey

monkey.patch_all()

# ruff: noqa: E402 -- gevent patches first
import json
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import gevent

from tests.contract import resolving, uploads
from tests.contract.receivers import Connection, Pieces, Receiver
from tests.contract.uploads import LARGE, Sender
from torana.offload import is_gevent
from torana.outbound.client import HttpClient

SECONDS = 40.0


def check_other_greenlets_go_on_during_an_upload(send: Sender) -> None:
    gate = threading.Event()

    def read_late(connection: Connection) -> None:
        connection.read_head()
        gate.wait(SECONDS)
        connection.read(connection.length)
        connection.answer()

    uploading = gevent.spawn(send, Pieces(LARGE), read_late)
    began = time.monotonic()
    for _ in range(20):
        gevent.sleep(0.01)
    assert time.monotonic() - began < 2.0, "the hub stood still"
    assert not uploading.dead
    gate.set()
    assert uploading.get(timeout=5)[0] == 200


def check_a_handshake_that_drips_is_limited_as_a_whole() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gevent.spawn(_drip, listener)
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        _, seconds = resolving.failure_of(HttpClient(), url)
        assert 0.4 < seconds < resolving.MUCH_LATER


def _drip(listener: socket.socket) -> None:
    accepted, _ = listener.accept()
    with accepted, suppress(OSError):
        # The beginning of a long record of a handshake, byte by byte.
        for byte in b"\x16\x03\x03\x3f\xff\x02\x00\x3f\xfb" + bytes(200):
            accepted.sendall(bytes([byte]))
            gevent.sleep(0.1)


def run(check: Callable[[], None]) -> str:
    """How a check failed, or an empty text."""
    try:
        with gevent.Timeout(SECONDS):
            check()
    except BaseException:  # noqa: BLE001 -- the test that reads this fails with it
        return traceback.format_exc()
    return ""


def run_upload(check: Callable[[Sender], None], folder: Path | None) -> str:
    """The same with a client and its server."""
    send = Sender(HttpClient(), Receiver(folder))
    try:
        return run(partial(check, send)) or "".join(map(repr, send.server.problems))
    finally:
        send.http.close()
        send.server.stop()


def main() -> None:
    assert is_gevent()
    results = {f"resolving {name}": run(check) for name, check in resolving.CHECKS.items()}
    drips = check_a_handshake_that_drips_is_limited_as_a_whole
    results["resolving a_handshake_that_drips_is_limited_as_a_whole"] = run(drips)
    checks = uploads.CHECKS | {
        "other_greenlets_go_on_during_an_upload": check_other_greenlets_go_on_during_an_upload
    }
    for kind, folder in (("plain", None), ("tls", Path(sys.argv[1]))):
        for name, check in checks.items():
            results[f"{kind} {name}"] = run_upload(check, folder)
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
