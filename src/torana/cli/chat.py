"""`torana chat`."""

from __future__ import annotations

import click

from torana.cli.client import Client
from torana.errors import ToranaError
from torana.settings import load_settings


@click.command()
@click.argument("prompt", required=False)
@click.option("--model", "-m", default="smollm2-135m", show_default=True, help="Whom to ask.")
@click.option("--key", envvar="TORANA_API_KEY", help="An API key; or set TORANA_API_KEY.")
def chat(*, prompt: str | None, model: str, key: str | None) -> None:
    """Talk to a model; the answer streams, and its cost is shown.

    With PROMPT it asks once, without it you talk until Ctrl-D.
    """
    client = Client(load_settings(), key)
    messages: list[dict[str, str]] = []
    if prompt is not None:
        _ask(client, model, messages, prompt)
        return
    click.echo(f"Talking to {model}. Ctrl-D ends it.", err=True)
    while True:
        try:
            line = click.prompt("you", prompt_suffix="> ")
        except click.Abort:
            click.echo()
            return
        try:
            _ask(client, model, messages, line)
        except ToranaError as error:
            click.echo(f"torana: {error.public_message}", err=True)


def _ask(client: Client, model: str, messages: list[dict[str, str]], text: str) -> None:
    asked = [*messages, {"role": "user", "content": text}]
    request_id, words = client.chat(model, asked)
    said = []
    try:
        for word in words:
            said.append(word)
            click.echo(word, nl=False)
    finally:
        click.echo()
    messages[:] = [*asked, {"role": "assistant", "content": "".join(said)}]
    call = client.get(f"/api/ledger/{request_id}")
    entry = call["entries"][-1]
    click.echo(
        f"[{entry['input_tokens']} tokens in, {entry['output_tokens']} out, "
        f"{call['cost_usd']} USD, {entry['duration_ms']} ms]",
        err=True,
    )
