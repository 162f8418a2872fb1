"""Who calls: API keys, passwords, principals, and what each may do."""
