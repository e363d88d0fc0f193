"""The Anthropic Python SDK. The only folder that imports it."""
