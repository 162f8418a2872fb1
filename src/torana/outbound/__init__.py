"""Outbound HTTP: one pooled client with bounded waits; alone in knowing urllib3's errors."""
