"""What operators see: logs and metrics. Never a prompt, an answer or a secret."""
