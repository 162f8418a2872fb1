"""Every way through a stream, drawn at random: the call is settled once and nothing is faked."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.inference.fakes import BOUND, Scene, ScriptedAnswer, Step
from tests.unit.inference.test_chat_stream import COST, DONE, FINISH, HELLO, USAGE, WORLD
from torana.dialects.openai_chat.streams import ChatFold
from torana.errors import Draining, LedgerUnavailable, UpstreamCut, UpstreamTimeout
from torana.inference.chat_stream import ChatStream

CHUNKS = [
    HELLO,
    WORLD,
    FINISH,
    USAGE,
    DONE,
    HELLO[:7],
    b": ping\n\n",
    b"data: {garbage\n\n",
    b'data: {"error":{}}\n\n',
    UpstreamCut("cut"),
    UpstreamTimeout("slow"),
    RuntimeError("broken"),
]
EVENTS = ["hang up", "hang up for long", "stop"]


def happening(scene: Scene, name: str) -> Callable[[], None]:
    """Something that happens to the call while its answer is read."""
    return {
        "hang up": lambda: scene.link.hang_up(0.0),
        "hang up for long": lambda: scene.link.hang_up(1000.0),
        "stop": lambda: scene.opened[0].stop(Draining("stopping")),
    }[name]


@settings(max_examples=500)
@given(
    script=st.lists(st.sampled_from([*CHUNKS, *EVENTS]), max_size=8),
    takes=st.integers(0, 10),
    before=st.sampled_from([None, None, None, *EVENTS]),
    post_fails=st.booleans(),
)
def test_a_call_is_settled_once_whatever_happens(script, takes, before, post_fails):
    scene = Scene()
    call = scene.open()
    steps: list[Step] = [
        happening(scene, step) if isinstance(step, str) else step for step in script
    ]
    answer = ScriptedAnswer(scene.exchange, *steps)
    frames = ChatStream(call, answer, ChatFold(include_usage=False))
    if post_fails:
        scene.teller.post_error = LedgerUnavailable("away")
    if before is not None:
        happening(scene, before)()
    passed = []
    posts_when_passed = []
    # The server may be told of what broke when nobody listens any more.
    with contextlib.suppress(RuntimeError, LedgerUnavailable):
        for _ in range(takes):
            passed.append(next(frames, b""))
            posts_when_passed.append(len(scene.teller.posts))
    with contextlib.suppress(RuntimeError, LedgerUnavailable):
        frames.close()

    assert len(scene.teller.posts) == 1
    assert scene.link.unwatches == 1
    assert scene.forgotten == [call]
    assert answer.closed >= 1
    assert scene.teller.settlement.cost_nano in {COST, BOUND}
    out = b"".join(passed)
    if DONE in out:
        assert b'"error"' not in out
        assert out.endswith(DONE)
        assert FINISH in script or DONE in script
        assert not post_fails
        assert posts_when_passed[passed.index(DONE)] == 1
