"""`torana serve` for this suite: the same server, and one kind of provider more.

    python -m tests.conformance.web_process

Every provider that Torana knows speaks OpenAI's chat where it speaks Responses, and a chat caller is
never translated for it. The kind `responses` speaks nothing else, so that all pairs can be called.
It is added in the worker, after gevent has patched it and before the services are built.
"""

from __future__ import annotations

from typing import Any

from torana import app


class ConformanceServer(app.WebServer):
    """The web server of the product, whose workers know the kind `responses`."""

    def load(self) -> Any:
        """The application of a worker."""
        from torana import providers
        from torana.dialects.openai_responses import OPENAI_RESPONSES
        from torana.providers.openai import OpenAIProvider

        class ResponsesProvider(OpenAIProvider):
            """A look-alike of OpenAI with `/responses` alone, which keeps no conversation."""

            speaks = (OPENAI_RESPONSES,)
            keeps_responses = False

        providers.KINDS["responses"] = ResponsesProvider
        return super().load()


if __name__ == "__main__":
    app.WebServer = ConformanceServer  # type: ignore[misc]
    app.main()
