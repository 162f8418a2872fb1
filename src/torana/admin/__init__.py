"""What administrators do: tenancy, keys, providers, the configuration of processes."""
