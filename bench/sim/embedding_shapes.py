"""OpenAI's embeddings as the simulator writes them."""

from __future__ import annotations

import base64
import struct

from bench.sim.kinds import Kind


def embeddings_json(kind: Kind, number: str) -> dict[str, object]:
    """The same vector for each input, as numbers or as little-endian floats in base64."""
    del number  # Vectors have no id.
    # A length of one, as real vectors have, of numbers that four bytes hold exactly enough.
    vector = [kind.dimensions**-0.5] * kind.dimensions
    packed = base64.b64encode(struct.pack(f"<{kind.dimensions}f", *vector)).decode()
    embedding = packed if kind.base64 else vector
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": embedding}
            for index in range(kind.inputs)
        ],
        "model": kind.model,
        "usage": {
            "prompt_tokens": kind.usage.input_tokens,
            "total_tokens": kind.usage.input_tokens,
        },
    }
