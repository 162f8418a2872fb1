"""`make bench`: everything is started, measured against its goals, reported, and ended.

    python -m bench.run                 all of it, under five minutes
    python -m bench.run --quick         under a minute, rougher figures
    python -m bench.run --no-gateway    the simulator alone: what the instruments cost
    python -m bench.run --only json_32,stream_32    these loads on the gateway
    python -m bench.run --peer NAME=URL,key=KEY,pid=PID,model=MODEL
                                        another gateway that runs already, the same loads; give it
                                        the simulator as upstream: `--simulator-port 9100`

PostgreSQL, the simulator and the gateway run on loopback in a folder of their own under
`bench/.work`, which is kept, with its logs, only when something went wrong. The exit status is 1
when an answer was wrong; a missed goal is reported, not punished.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from bench import gateway, machine, postgres, report, scenarios
from bench.goals import GATEWAY, SIMULATOR, judge
from bench.measure import REPOSITORY, Measurement, Scenario, Target, measure, upstream_account
from bench.processes import BenchError, Program, read_json_line, running, titled, tree

WORK = REPOSITORY / "bench" / ".work"
RESULTS = REPOSITORY / "bench" / "results"
START_SECONDS = 15.0


@dataclass
class Session:
    """A run in progress: where things are and what has been measured."""

    work: Path
    profile: scenarios.Profile
    upstream_url: str = ""
    simulator_pid: int = 0
    postgres_version: str | None = None
    ready_seconds: float | None = None
    measurements: list[Measurement] = field(default_factory=list)

    def take(self, target: Target, scenario: Scenario) -> None:
        """Measure, remember, and say so."""
        print(f"  {target.name}: {scenario.title}, {scenario.connections} connections", flush=True)
        measured = measure(target, scenario, self.upstream_url)
        self.measurements.append(measured)
        if not measured.right:
            print(f"    WRONG: {measured.trouble}", flush=True)


@contextmanager
def simulator(work: Path, port: int) -> Iterator[tuple[str, int]]:
    """Run the simulator for the length of a `with` block: its address and its process."""
    program = Program(
        arguments=[sys.executable, "-m", "bench.simulator", "--port", str(port)],
        environment={"PATH": os.defpath},
        folder=REPOSITORY,
        log=work / "simulator.log",
        grace=5.0,
    )
    with running(program, read_output=True) as process:
        line = read_json_line(process, START_SECONDS)
        yield line["url"], process.pid


def simulator_target(session: Session) -> Target:
    """The simulator itself, for what a gateway adds to it."""
    pid = session.simulator_pid
    return Target(
        name=SIMULATOR,
        url=session.upstream_url,
        key="none",
        main="simulator",
        roles={"simulator": lambda: tree(pid)},
    )


def measure_simulator(session: Session) -> None:
    """The reference loads, straight to the simulator."""
    target, profile = simulator_target(session), session.profile
    for scenario in scenarios.basic(profile.reference_seconds):
        session.take(target, scenario)
    session.take(target, scenarios.hundred_streams(profile.seconds / 2 + 2))


def measure_gateway(session: Session, torana: Path, only: Sequence[str] = ()) -> None:
    """Start PostgreSQL and the gateway, and put every load on it, or those of `only`."""
    profile = session.profile
    with ExitStack() as stack:
        database = stack.enter_context(postgres.started(session.work))
        session.postgres_version = database.version
        setup = gateway.Setup(
            torana=torana,
            work=session.work,
            database_url=database.url,
            upstream_url=session.upstream_url,
        )
        running_gateway = stack.enter_context(gateway.started(setup))
        session.ready_seconds = running_gateway.ready_seconds
        serve, sim = running_gateway.pid, session.simulator_pid
        target = Target(
            name=GATEWAY,
            url=running_gateway.url,
            key=running_gateway.key,
            main="web",
            roles={
                "web": lambda: titled(serve, gateway.WEB_TITLE),
                "master": lambda: titled(serve, gateway.MASTER_TITLE),
                "postgres": lambda: tree(database.pid),
                "simulator": lambda: tree(sim),
            },
        )
        if not target.roles["web"]():
            raise BenchError(f"no process with the title {gateway.WEB_TITLE!r} under `serve`")
        for scenario in scenarios.warm_up(min(profile.seconds, 2.0) / 2):
            measure(target, scenario, session.upstream_url)
        for scenario in (
            *scenarios.basic(profile.seconds),
            *scenarios.dialects(profile.seconds),
            scenarios.hundred_streams(profile.seconds / 2 + 2),
            scenarios.many_streams(profile.streams),
            scenarios.soak(profile.soak_requests, profile.soak_seconds),
        ):
            if not only or scenario.name in only:
                session.take(target, scenario)


def measure_peer(session: Session, description: str) -> None:
    """The basic loads on another gateway; all processes under its pid are counted."""
    name, _, rest = description.partition("=")
    url, *options = rest.split(",")
    values = dict(option.partition("=")[::2] for option in options)
    if not name or not url or values.keys() - {"key", "pid", "model"}:
        raise BenchError("--peer is NAME=URL[,key=KEY][,pid=PID][,model=MODEL]")
    pid = int(values.get("pid", "0"))
    target = Target(
        name=name,
        url=url,
        key=values.get("key", "none"),
        main="all",
        roles={"all": lambda: tree(pid) if pid else []},
        model=values.get("model", "gpt-4o-mini"),
    )
    for scenario in scenarios.basic(session.profile.seconds):
        session.take(target, scenario)


def finish(session: Session, results: Path) -> int:
    """Print and write the report; the exit status says whether the answers were right."""
    run = report.Run(
        day=datetime.now(UTC).date(),
        profile=session.profile.name,
        machine=machine.describe(),
        machine_name=machine.short_name(),
        versions=machine.versions(session.postgres_version),
        commit=machine.commit(REPOSITORY),
        ready_seconds=session.ready_seconds,
        rows=judge(session.measurements, session.ready_seconds),
        measurements=session.measurements,
        upstream=upstream_account(session.upstream_url),
    )
    print("\n" + "\n".join(report.lines(run)))
    print(f"\nwritten: {report.write(run, results)} and .md")
    return 0 if all(each.right for each in session.measurements) else 1


def execute(options: argparse.Namespace, work: Path) -> int:
    """Carry a run out in its folder."""
    profile = scenarios.QUICK if options.quick else scenarios.FULL
    profile = replace(
        profile,
        streams=options.streams or profile.streams,
        soak_requests=options.soak or profile.soak_requests,
        # A longer soak was asked for on purpose; 400 a second is what a slow machine does.
        soak_seconds=max(profile.soak_seconds, (options.soak or 0) / 400),
    )
    session = Session(work=work, profile=profile)
    with simulator(work, options.simulator_port) as (url, pid):
        session.upstream_url, session.simulator_pid = url, pid
        print(f"simulator at {url}; measuring", flush=True)
        measure_simulator(session)
        if options.gateway:
            measure_gateway(session, options.torana, options.only)
        else:
            session.take(simulator_target(session), scenarios.many_streams(profile.streams))
        for peer in options.peer:
            measure_peer(session, peer)
        return finish(session, options.results)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.run", description="Measure Torana.")
    parser.add_argument("--quick", action="store_true", help="a minute instead of five")
    parser.add_argument("--no-gateway", dest="gateway", action="store_false")
    parser.add_argument("--only", type=_names, default=(), metavar="NAME,NAME")
    parser.add_argument("--streams", type=int, help="streams that are open at once (1000)")
    parser.add_argument("--soak", type=int, help="requests before memory is read (50000)")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=URL[,key=..]")
    parser.add_argument("--simulator-port", type=int, default=0)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the report")
    parser.add_argument(
        "--torana",
        type=Path,
        default=Path(sys.executable).parent / "torana",
        help="the command to measure (the one beside this Python)",
    )
    return parser.parse_args(arguments)


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    """Turn SIGTERM into an exception, so that every `with` block ends what it started."""
    sys.exit(128 + number)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as a program."""
    options = _arguments(arguments)
    signal.signal(signal.SIGTERM, _end)
    WORK.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=WORK, prefix="run-"))
    # PostgreSQL's files lie in here, and root runs it as another account.
    work.chmod(0o711)
    code = 1
    try:
        code = execute(options, work)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        code = 130
    finally:
        if code == 0:
            shutil.rmtree(work)
        else:
            print(f"bench: logs are kept in {work}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
