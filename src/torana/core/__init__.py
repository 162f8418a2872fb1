"""Pure values for every layer: ids, instants, money, usage. Imports msgspec at the most."""
