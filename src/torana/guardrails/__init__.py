"""Guardrails: what judges and changes the texts of calls and their answers. Pure."""
