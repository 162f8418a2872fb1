"""What may be called at present and who speaks to it, as one value that a call keeps to its end."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from torana.providers.base import Provider
from torana.routing.catalog import Catalog


class Upstreams(msgspec.Struct, frozen=True):
    """A catalogue and the providers behind it, by name."""

    catalog: Catalog
    providers: Mapping[str, Provider]
