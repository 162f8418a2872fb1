"""The scenarios: what is asked, what is answered, and what the tools bring back.

Every value is chosen so that a mistake shows: counts that differ, names and arguments with
characters outside ASCII, a tool without arguments, a result that is a failure.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.conformance.said import Asked, Call, Picture, Result, Said, Tokens, Tool

WEATHER = Tool(
    name="get_weather",
    description="The weather of a city.",
    schema={
        "type": "object",
        "properties": {"city": {"type": "string"}, "unit": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
)
CLOCK = Tool(
    name="get_time",
    description="The time now.",
    schema={"type": "object", "properties": {}, "additionalProperties": False},
)
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
LONG = (
    "Zürich, naïve café, \ufb01ancée, İstanbul; Ελληνικά, Русский, 日本語のテキスト, 한국어, हिन्दी, ไทย. "
    "\u05e9\u05dc\u05d5\u05dd \u0633\u0644\u0627\u0645 (from the right). "
    "e\u0301 (combining), \u200b (no width), \u2028 and \u0085 (line ends to some), "
    "\u00a0 (no break), \ufeff (a mark), \\n is no line end and \\u0041 no letter; "
    'a real\nline end, a\ttab, a "quote" and a \\ backslash. '
    "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f3f3\ufe0f\u200d\U0001f308 🇨🇭 👍🏽 "
    "\U0001d518\U0001d52b\U0001d526 𠜎𠜱𠝹 \U0010fffd. data: not a frame\n\nevent: error\n\n"
) * 3


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One conversation.

    Attributes:
        said: the answers, one for each turn; all but the last call tools.
        results: what the tools bring after the answer before it, in the order of the calls.
    """

    name: str
    asked: Asked
    said: tuple[Said, ...]
    results: tuple[Result, ...] = ()


_WEATHER_CALL = Call(id="1", name="get_weather", arguments={"city": "Zürich"})

TEXT = Scenario(
    name="text",
    asked=Asked(system="You are terse.", text="Say hello."),
    said=(Said(text="Hello there! How can I help you today?"),),
)
TOOL = Scenario(
    name="tool",
    asked=Asked(system="Use tools.", text="Weather in Zürich?", tools=(WEATHER,)),
    said=(
        Said(text="Let me look.", calls=(_WEATHER_CALL,), end="tools"),
        Said(text="It is 18 °C in Zürich."),
    ),
    results=(Result(call_id="1", text="18 °C"),),
)
PARALLEL = Scenario(
    name="parallel",
    asked=Asked(text="Paris, Zürich, and the time?", tools=(WEATHER, CLOCK)),
    said=(
        Said(
            calls=(
                Call(id="1", name="get_weather", arguments={"city": "Paris", "unit": "°C"}),
                Call(id="2", name="get_time", arguments={}),
                Call(
                    id="3",
                    name="get_weather",
                    arguments={"city": 'Zü"rich\\ 🇨🇭', "unit": "°F"},
                ),
            ),
            end="tools",
        ),
        Said(text="Paris 21 °C; 12:00; Zürich is not known."),
    ),
    results=(
        Result(call_id="1", text="21 °C"),
        Result(call_id="2", text="12:00"),
        Result(call_id="3", text="no such station", failed=True),
    ),
)
THINKING = Scenario(
    name="thinking",
    asked=Asked(text="Weather in Zürich? Think.", tools=(WEATHER,), thinks=True),
    said=(
        Said(
            thoughts="The user wants the weather. I need the tool for Zürich.",
            calls=(_WEATHER_CALL,),
            end="tools",
            tokens=Tokens(reasoning=12),
        ),
        Said(text="It is 18 °C in Zürich.", tokens=Tokens(reasoning=5)),
    ),
    results=(Result(call_id="1", text="18 °C"),),
)
IMAGE = Scenario(
    name="image",
    asked=Asked(
        text="What do these show?",
        pictures=(
            Picture(data=PNG, media_type="image/png"),
            Picture(url="https://images.example/cat.jpg?size=1&x=%20"),
        ),
    ),
    said=(Said(text="A dot, and a cat."),),
)
UNICODE = Scenario(
    name="unicode",
    asked=Asked(system="Répondez en 日本語.", text=LONG),
    said=(Said(text=LONG),),
)
REFUSAL = Scenario(
    name="refusal",
    asked=Asked(text="Something bad."),
    said=(Said(refusal="I can't help with that.", end="refusal"),),
)
LENGTH = Scenario(
    name="length",
    asked=Asked(text="Tell me everything."),
    said=(Said(text="Once upon a time there was a", end="length"),),
)
BROKEN = Scenario(
    name="error",
    asked=Asked(text="Fail half way."),
    said=(Said(text="So far so good", tokens=None),),
)
"""The text is what has come when the provider's error follows."""

SCENARIOS = (TEXT, TOOL, PARALLEL, THINKING, IMAGE, UNICODE, REFUSAL, LENGTH)
"""Those that end well."""
