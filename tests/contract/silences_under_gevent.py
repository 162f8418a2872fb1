"""All checks of `silences.py`, and one of greenlets, in a process that gevent has patched.

`python -m tests.contract.silences_under_gevent FOLDER`, with a certificate in FOLDER, prints a JSON
object: for each check an empty text, or how it failed.
"""

from gevent import monkey

monkey.patch_all()

# ruff: noqa: E402 -- gevent patches first
import json
import sys
import time
import traceback
from pathlib import Path

import gevent

from tests.contract.silences import CHECKS, END, LONG, Caller, until_the_end
from tests.contract.wires import WireServer
from torana.offload import is_gevent
from torana.outbound.client import HttpClient

SECONDS = 40.0


def check_other_greenlets_go_on_while_one_waits(caller: Caller) -> None:
    answer, wire = caller.begin()
    waiting = gevent.spawn(until_the_end, answer.chunks(silence=LONG))
    began = time.monotonic()
    for _ in range(20):
        gevent.sleep(0.01)
    assert time.monotonic() - began < 2.0, "the hub stood still"
    assert not waiting.dead
    wire.send_chunk(b"one")
    wire.send(END)
    assert waiting.get(timeout=5) == b"one"


def main() -> None:
    assert is_gevent()
    checks = CHECKS | {
        "other_greenlets_go_on_while_one_waits": check_other_greenlets_go_on_while_one_waits
    }
    results = {}
    for kind, folder in (("plain", None), ("tls", Path(sys.argv[1]))):
        for name, check in checks.items():
            caller = Caller(HttpClient(), WireServer(folder))
            try:
                with gevent.Timeout(SECONDS):
                    check(caller)
                results[f"{kind} {name}"] = ""
            except BaseException:  # noqa: BLE001 -- the test that reads this fails with it
                results[f"{kind} {name}"] = traceback.format_exc()
            finally:
                caller.http.close()
                caller.server.stop()
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
