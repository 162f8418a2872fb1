"""Routes in Anthropic's wire format."""
