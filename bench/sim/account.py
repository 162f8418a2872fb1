"""The provider's own books: what was served, what was cut, and what it would bill.

A gateway's ledger can be held against these numbers. This module must not know about sockets.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field


@dataclass(slots=True)
class Tally:
    """Sums for one model; tokens are counted when a call ends, not when it starts."""

    requests: int = 0
    completed: int = 0
    cut: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(slots=True)
class Account:
    """The books since the last reset; `journal` holds each call's bill by the answer's id."""

    journal: dict[str, dict[str, object]] = field(default_factory=dict)
    models: dict[str, Tally] = field(default_factory=dict)
    in_flight: int = 0

    def open(self, model: str) -> Tally:
        """Count a call that has just arrived, and return the tally it will be billed to."""
        tally = self.models.get(model)
        if tally is None:
            tally = self.models[model] = Tally()
        tally.requests += 1
        self.in_flight += 1
        return tally

    def close(self, tally: Tally, input_tokens: int, output_tokens: int, *, cut: bool) -> None:
        """Bill a call; `cut` says that its client hung up before the last byte was written."""
        self.in_flight -= 1
        if cut:
            tally.cut += 1
        else:
            tally.completed += 1
        tally.input_tokens += input_tokens
        tally.output_tokens += output_tokens

    def report(self) -> dict[str, object]:
        """The books as plain JSON values, the body of `GET /_account`."""
        models = {model: asdict(tally) for model, tally in self.models.items()}
        report: dict[str, object] = {
            "models": models,
            "totals": {
                name: sum(tally[name] for tally in models.values()) for name in asdict(Tally())
            },
            "in_flight": self.in_flight,
        }
        if self.journal:
            report["journal"] = self.journal
        return report
