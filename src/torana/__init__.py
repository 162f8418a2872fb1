"""Torana, a self-hosted LLM API service. Importing this package does nothing else."""

__version__ = "0.1.0"
