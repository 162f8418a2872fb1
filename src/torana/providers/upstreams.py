"""What may be called at present and who speaks to it, as one value that a call keeps to its end."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from torana.errors import ProviderGone
from torana.providers.base import Provider
from torana.routing.catalog import Catalog


class Upstreams(msgspec.Struct, frozen=True):
    """A catalogue and the providers behind it, by name."""

    catalog: Catalog
    providers: Mapping[str, Provider]

    def provider(self, name: str) -> Provider:
        """A provider by its name.

        Raises:
            ProviderGone: it was taken away.
        """
        found = self.providers.get(name)
        if found is None:
            raise ProviderGone(f"The provider {name!r} is not here any more.")
        return found
