"""Make the packed vocabularies in `src/torana/tokenizer/data` from those that bpe-openai carries.

`bpe-openai` is in the `test` extra. What it carries is checked against the SHA-256 that tiktoken
expects of OpenAI's own files. Run it with the checkout's interpreter:

    .venv/bin/python scripts/make_vocabularies.py
"""

from __future__ import annotations

import gzip
import hashlib
from base64 import b64decode
from importlib.util import find_spec
from pathlib import Path

from torana.tokenizer.vocabularies import VOCABULARIES, pack

DATA = Path(__file__).parent.parent / "src" / "torana" / "tokenizer" / "data"


def tokens_of(name: str) -> list[bytes]:
    """The tokens of a vocabulary by rising rank.

    Raises:
        ValueError: the source is not there, or not the file that tiktoken expects.
    """
    package = find_spec("bpe_openai")  # Found, not imported: only its data is wanted.
    if package is None or package.origin is None:
        raise ValueError("the package bpe-openai is not installed")
    source = Path(package.origin).parent / "data" / f"{name}.tiktoken.gz"
    text = gzip.decompress(source.read_bytes())
    if hashlib.sha256(text).hexdigest() != VOCABULARIES[name].sha256:
        raise ValueError(f"{name} is not the vocabulary that tiktoken knows")
    tokens = []
    for rank, line in enumerate(text.splitlines()):
        token, number = line.split()
        if int(number) != rank:
            raise ValueError(f"{name} leaves out the rank {rank}")
        tokens.append(b64decode(token))
    return tokens


def main() -> None:
    """Write all of them."""
    DATA.mkdir(exist_ok=True)
    for name in VOCABULARIES:
        (DATA / f"{name}.xz").write_bytes(pack(tokens_of(name)))


if __name__ == "__main__":
    main()
