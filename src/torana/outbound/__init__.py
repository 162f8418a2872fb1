"""Outbound HTTP: one pooled client with bounded waits and a guard against private addresses."""
