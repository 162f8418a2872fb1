"""Routes in OpenAI's wire format."""
