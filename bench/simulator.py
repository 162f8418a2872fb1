"""The upstream simulator: a fake OpenAI and Anthropic that costs far less than what it measures.

Run `python -m bench.simulator --port 9100`; with `--port 0` the system chooses. When it listens it
prints one line, `{"url": "http://127.0.0.1:9100", "pid": 4711}`. SIGTERM and SIGINT end it.

Routes: `POST /v1/chat/completions` (JSON, and SSE with `stream: true`, with a usage chunk when
`stream_options.include_usage` asks for it), `POST /v1/messages` and `POST /v1/responses` (JSON, and
SSE with named events), `POST /v1/embeddings` (numbers or base64), `GET /v1/models`. Any model name
is served. Headers are not looked at, keys neither; the journal notes `x-request-id` and
`x-torana-attempt` of the request, in lower case.

Control: `GET /_account` tells what was served and what it would bill, `POST /_reset` empties those
books, `POST /_behaviour` takes a JSON object with the names below in lower case and without `SIM_`
(what is absent gets its default) and acts on the calls that come after it; `models` in it maps
names of models to behaviours of their own, whole ones with a `journal` each.

| variable | flag | default | meaning |
|---|---|---|---|
| SIM_LATENCY_MS | --latency-ms | 0 | milliseconds before the first byte |
| SIM_CHUNKS | --chunks | 20 | pieces of text in a stream, three tokens each |
| SIM_CHUNK_MS | --chunk-ms | 0 | milliseconds between two pieces; 0 writes a stream at once |
| SIM_INPUT_TOKENS | --input-tokens | 100 | input tokens of a call |
| SIM_OUTPUT_TOKENS | --output-tokens | 3 a piece | output tokens of a call |
| SIM_BILL | --bill | fixed | `request`: tokens follow from the request, see below |
| SIM_JOURNAL | --journal | 0 | 1 keeps each call's bill by the answer's id |

`SIM_BILL=request` counts one input token for each four bytes of text in the prompt (messages and
system prompt, or input and instructions), rounded up, and as many output tokens as the request
allows with `max_completion_tokens`, `max_tokens` or `max_output_tokens`, else SIM_OUTPUT_TOKENS.
Embeddings have no output.

A call whose client hangs up is `cut`: its input is billed in full, of a stream's output the share
that was written, of a JSON answer everything, for the work was done. A stream without pacing is
written at once, so it is never cut.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence

from bench.loop import raise_file_limit, run
from bench.sim.behaviour import Behaviour, add_arguments, from_sources
from bench.sim.server import Connection, Simulator

BACKLOG = 4096


async def listen(behaviour: Behaviour, host: str, port: int) -> asyncio.Server:
    """Open the simulator's listener in the running loop; port 0 takes a free one."""
    loop = asyncio.get_running_loop()
    simulator = Simulator(behaviour)
    return await loop.create_server(
        lambda: Connection(simulator, loop), host, port, backlog=BACKLOG
    )


async def serve(behaviour: Behaviour, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; print the address once it can be used."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    server = await listen(behaviour, host, port)
    address = server.sockets[0].getsockname()
    print(json.dumps({"url": f"http://{host}:{address[1]}", "pid": os.getpid()}), flush=True)
    await stopped.wait()
    # Open connections end with the process: waiting for idle keep-alives would never end.
    server.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the simulator as a program."""
    parser = argparse.ArgumentParser(prog="python -m bench.simulator", description="Fake upstream.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9100)
    add_arguments(parser)
    options = vars(parser.parse_args(arguments))
    host, port = options.pop("host"), options.pop("port")
    try:
        # The settings module serves the product; this program runs without the product.
        behaviour = from_sources(os.environ, options)  # noqa: TID251
    except ValueError as error:
        parser.error(str(error))
    raise_file_limit()
    run(serve(behaviour, host, port))
    return 0


if __name__ == "__main__":
    sys.exit(main())
