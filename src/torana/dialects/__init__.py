"""Wire formats as pure functions: bytes in, values out, and back. No I/O, no clock, no settings."""
