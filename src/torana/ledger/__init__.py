"""Money and limits: judging calls, the teller that settles them durably, prices and reports."""
