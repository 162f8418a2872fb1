"""`echo` as an HTTP server: what it does not serve is an answer too."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

from tests.contract.calls import chat_body


def test_a_path_that_echo_does_not_serve_leaves_the_connection_usable(echo_url: str):
    connection = http.client.HTTPConnection(urlsplit(echo_url).netloc, timeout=10)
    try:
        connection.request("POST", "/v1/embeddings", b'{"model": "echo", "input": "x"}')
        refused = connection.getresponse()
        assert (refused.status, b"echo serves" in refused.read()) == (404, True)
        connection.request("POST", "/v1/chat/completions", chat_body(text="still here"))
        answered = connection.getresponse()
        assert (answered.status, b"still here" in answered.read()) == (200, True)
    finally:
        connection.close()
