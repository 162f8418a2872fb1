"""Forms on their way through: limits, memory, what is left behind, and keys for one call."""

from __future__ import annotations

import hashlib
import http.client
import os
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.contract.fake_upstream import Turn
from tests.e2e.media.conftest import UPLOAD_LIMIT, Scene
from tests.e2e.media.provider import form_of, speak
from tests.support.server import ANSWER_SECONDS

MIB = 1024 * 1024
LARGE = 30 * MIB
TOLD = {"text": "hello", "usage": {"type": "duration", "seconds": 1}}


def listen(turn: Turn) -> None:
    turn.reply(TOLD)


def post(scene: Scene, path: str = "/v1/audio/transcriptions", **more: object) -> httpx2.Response:
    headers = {"authorization": f"Bearer {scene.server.key}", **more.pop("headers", {})}  # type: ignore[dict-item]
    return httpx2.post(f"{scene.server.url}{path}", headers=headers, timeout=30, **more)  # type: ignore[arg-type]


def peak_rss(pid: int) -> int:
    """The largest resident size of a process since it was last forgotten, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def rss(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


def test_a_large_upload_costs_no_memory_and_leaves_nothing_behind(scene: Scene):
    sizes: list[str] = []

    def play(turn: Turn) -> None:
        sizes.append(form_of(turn.request).files[0].sha256)
        turn.reply(TOLD)

    model = scene.model("listen-minutes", play)
    (pid,) = scene.server.worker_pids()
    sound = os.urandom(LARGE)
    # Once for what is loaded with the first upload.
    post(scene, data={"model": model}, files={"file": sound[:MIB]})
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    before = rss(pid)
    reply = post(scene, data={"model": model}, files={"file": sound})
    assert reply.json() == TOLD
    assert sizes[-1] == hashlib.sha256(sound).hexdigest()
    assert peak_rss(pid) - before < 12 * MIB
    held = [str(place.readlink()) for place in Path(f"/proc/{pid}/fd").iterdir()]
    folder = str(scene.server.data_dir)
    assert [name for name in held if name.startswith(folder) and "(deleted)" in name] == []
    left = [path.name for path in scene.server.data_dir.rglob("tmp*")]
    assert left == []


def test_a_form_over_the_limit_is_refused_by_its_length(scene: Scene):
    model = scene.model("listen-minutes", listen)
    reply = post(scene, data={"model": model}, files={"file": b"x" * (UPLOAD_LIMIT + 1)})
    assert reply.status_code == 413
    assert f"{UPLOAD_LIMIT:,}" in reply.json()["error"]["message"]
    assert scene.upstream.seen(model.partition("/")[2]) == []


def test_a_form_over_the_limit_is_refused_while_it_comes(scene: Scene):
    def pieces() -> Iterator[bytes]:
        yield b'--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(UPLOAD_LIMIT // MIB + 2):
            yield b"x" * MIB

    reply = post(
        scene, content=pieces(), headers={"content-type": "multipart/form-data; boundary=b"}
    )
    assert reply.status_code == 413


def test_a_form_may_come_in_chunks(scene: Scene):
    model = scene.model("listen-minutes", listen)

    def pieces() -> Iterator[bytes]:
        yield b'--b\r\ncontent-disposition: form-data; name="model"\r\n\r\n'
        yield model.encode() + b"\r\n--b\r\n"
        yield b'content-disposition: form-data; name="file"; filename="a.mp3"\r\n\r\n'
        yield b"x" * 5000
        yield b"\r\n--b--\r\n"

    reply = post(
        scene, content=pieces(), headers={"content-type": "multipart/form-data; boundary=b"}
    )
    assert reply.json() == TOLD


def form(*parts: tuple[str, str]) -> str:
    """A form whose parts are texts, or files where the name ends in `@`."""
    written = ""
    for name, value in parts:
        filename = '; filename="a"' if name.endswith("@") else ""
        head = f'content-disposition: form-data; name="{name.rstrip("@")}"{filename}'
        written += f"--b\r\n{head}\r\n\r\n{value}\r\n"
    return written + "--b--\r\n"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (form(("model", "a"), ("model", "b"), ("file@", "x")), "model"),
        (form(("model@", "a"), ("file@", "x")), "model"),
        (form(("file@", "x")), "model"),
        (form(("model", "a")), "file"),
        (form(("model", "a"), ("file@", "x"), ("file@", "y")), "file"),
        (form(("model", "a"), ("file@", "x")).removesuffix("--b--\r\n"), None),
        ("nothing of the kind", None),
    ],
    ids=["twice", "a file", "no model", "no file", "two files", "no end", "no form"],
)
def test_a_form_that_is_wrong_is_refused(scene: Scene, body, param):
    reply = post(
        scene,
        content=body.encode(),
        headers={"content-type": "multipart/form-data; boundary=b"},
    )
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == param


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/audio/transcriptions", "application/json"),
        ("/v1/images/generations", "multipart/form-data; boundary=b"),
        ("/v1/images/edits", "text/plain"),
    ],
)
def test_a_body_of_another_kind_is_refused(scene: Scene, path, kind):
    reply = post(scene, path, content=b"{}", headers={"content-type": kind})
    assert reply.status_code == 415


def test_a_key_for_one_call_stands_for_one_form(scene: Scene):
    model = scene.model("listen-minutes", listen)
    key = {"idempotency-key": f"form-{model}"}
    first = post(scene, data={"model": model}, files={"file": b"one"}, headers=key)
    again = post(scene, data={"model": model}, files={"file": b"one"}, headers=key)
    other = post(scene, data={"model": model}, files={"file": b"two"}, headers=key)
    assert (first.json(), again.json()) == (TOLD, TOLD)
    assert again.headers["idempotent-replayed"] == "true"
    assert other.status_code == 422
    assert len(scene.upstream.seen(model.partition("/")[2])) == 1


def test_a_key_for_one_call_gives_the_same_audio_again(scene: Scene):
    audio = b"\xef\xbb\xbfID3\n\n\r\n\r" + bytes(range(256)) * 20
    model = scene.model("speech-characters", lambda turn: speak(turn, audio, kind="audio/flac"))
    body = {"model": model, "input": "hello", "voice": "alloy"}
    key = {"idempotency-key": f"audio-{model}"}
    replies = [post(scene, "/v1/audio/speech", json=body, headers=key) for _ in range(2)]
    assert [reply.headers["content-type"] for reply in replies] == ["audio/flac"] * 2
    assert replies[0].content == audio
    assert replies[1].content == audio
    assert len(scene.upstream.seen(model.partition("/")[2])) == 1


def test_an_unfinished_form_is_noticed_on_a_connection_that_stays(scene: Scene):
    connection = http.client.HTTPConnection(*scene.server.address, timeout=ANSWER_SECONDS)
    try:
        connection.request(
            "POST",
            "/v1/audio/transcriptions",
            b"--b\r\n",
            {
                "authorization": f"Bearer {scene.server.key}",
                "content-type": "multipart/form-data; boundary=b",
            },
        )
        assert connection.getresponse().status == 400
    finally:
        connection.close()
