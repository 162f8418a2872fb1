"""What may be called at present and who speaks to it, as one value that a call keeps to its end."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from torana.errors import ProviderGone
from torana.guardrails.guarded import NO_GUARDRAILS, Guardrails
from torana.providers.base import Provider
from torana.routing.catalog import Catalog


class Upstreams(msgspec.Struct, frozen=True):
    """A catalogue, the providers behind it by name, and the guardrails of calls."""

    catalog: Catalog
    providers: Mapping[str, Provider]
    guardrails: Guardrails = NO_GUARDRAILS

    def provider(self, name: str) -> Provider:
        """A provider by its name.

        Raises:
            ProviderGone: it was taken away.
        """
        found = self.providers.get(name)
        if found is None:
            raise ProviderGone(f"The provider {name!r} is not here any more.")
        return found
