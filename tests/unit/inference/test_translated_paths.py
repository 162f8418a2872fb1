"""Every way through a translated stream, drawn at random: settled once, and nothing is faked."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.inference.fakes import BOUND, Scene, ScriptedAnswer, Step
from tests.unit.inference.serving import CHAT_STREAM, CLAUDE_STREAM, COST
from tests.unit.inference.test_chat_stream_paths import EVENTS, happening
from tests.unit.inference.translating import CALLERS, ENDS, fold_of
from torana.dialects.anthropic import ANTHROPIC
from torana.dialects.openai_chat import OPENAI_CHAT
from torana.errors import LedgerUnavailable, UpstreamCut, UpstreamTimeout
from torana.inference.chat_stream import ChatStream

ODD = [
    b"",
    b": ping\n\n",
    CLAUDE_STREAM[1][:9],
    b"data: {garbage\n\n",
    b'event: error\ndata: {"type":"error","error":{}}\n\n',
    UpstreamCut("cut"),
    UpstreamTimeout("slow"),
    RuntimeError("broken"),
    *EVENTS,
]
FINISHED = ENDS[:3]


@settings(max_examples=400, deadline=None)
@given(
    data=st.data(),
    upstream=st.sampled_from([ANTHROPIC, OPENAI_CHAT]),
    caller=st.sampled_from(CALLERS),
    takes=st.integers(0, 12),
    hasty=st.booleans(),
    post_fails=st.booleans(),
)
def test_a_call_is_settled_once_whatever_happens(data, upstream, caller, takes, hasty, post_fails):
    whole = list(CLAUDE_STREAM if upstream is ANTHROPIC else CHAT_STREAM)
    script: list[bytes | Exception | str] = list(
        whole[: data.draw(st.integers(0, len(whole)), label="frames")]
    )
    for odd in data.draw(st.lists(st.sampled_from(ODD), max_size=3), label="odd"):
        script.insert(data.draw(st.integers(0, len(script))), odd)
    scene = Scene()
    call = scene.open()
    call.begin_attempt()
    steps: list[Step] = [
        happening(scene, step) if isinstance(step, str) else step for step in script
    ]
    answer = ScriptedAnswer(scene.exchange, *steps)
    fold = fold_of(upstream, caller)
    frames = ChatStream(call, answer, fold, ping_seconds=0.0 if hasty else 60.0)
    if post_fails:
        scene.teller.post_error = LedgerUnavailable("away")
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
    assert scene.forgotten == [call]
    assert answer.closed >= 1
    assert scene.teller.settlement.cost_nano in {COST, BOUND}
    ends = [at for at, piece in enumerate(passed) if any(end in piece for end in FINISHED)]
    if ends:
        (last,) = ends
        assert whole[2] in script  # Which says that the answer has finished.
        assert b'"error"' not in b"".join(passed).replace(b'"error":null', b"")
        assert not any(passed[last + 1 :])
        assert not post_fails
        assert posts_when_passed[last] == 1
