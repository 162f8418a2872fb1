"""`torana doctor`."""

from __future__ import annotations

import sys

import click

from torana.cli.output import json_option, print_json
from torana.diagnosis import diagnose
from torana.settings import load_settings


@click.command()
@json_option
def doctor(*, as_json: bool) -> None:
    """Check every dependency and setting, and say what to do; exit status 1 if something fails."""
    findings = diagnose(load_settings())
    if as_json:
        print_json(findings)
    else:
        for finding in findings:
            click.echo(f"{finding.state:7}  {finding.subject}: {finding.detail}")
            if finding.advice:
                click.echo(f"         {finding.advice}")
    if any(finding.state == "fails" for finding in findings):
        sys.exit(1)
