"""Anthropic in the demo: the Messages API as a wire format, its SDK, and the story that only it has."""
