"""Which providers want to be asked whether they are well, and how they are asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torana.coordination.active_checks import CheckPlan
from torana.errors import ToranaError, UpstreamRejected
from torana.outbound.client import HttpClient
from torana.providers.upstreams import Upstreams


class Checking:
    """What `ActiveChecks` asks of the present configuration.

    Args:
        upstreams: gives it.
        http: the connections to providers.
    """

    def __init__(self, upstreams: Callable[[], Upstreams], http: HttpClient) -> None:
        self._upstreams = upstreams
        self._http = http

    def plans(self) -> Iterator[CheckPlan]:
        """The providers whose options ask for it, with the models that routes have there."""
        upstreams = self._upstreams()
        for name, provider in upstreams.providers.items():
            seconds = provider.config.options.check_seconds
            if seconds is None:
                continue
            models = {
                target.model
                for route in upstreams.catalog.routes.values()
                for target in route.targets
                if target.provider == name
            }
            yield CheckPlan(provider=name, seconds=seconds, models=tuple(sorted(models)))

    def check(self, name: str) -> ToranaError | None:
        """Ask a provider for its models; how it has failed, or None.

        One that lists no models but answers is well.
        """
        failure = self._upstreams().provider(name).check(self._http).failure
        return None if isinstance(failure, UpstreamRejected) else failure
