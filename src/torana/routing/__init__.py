"""Which provider's model answers a call."""
