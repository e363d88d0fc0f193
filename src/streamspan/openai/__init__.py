"""The OpenAI Python SDK, and every server that is called through it."""
