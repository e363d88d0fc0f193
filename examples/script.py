"""Prints an answer as it comes. Press Ctrl-C: the span says `aborted`, `cancelled`, and how much had come by then."""

from anthropic import Anthropic

question = "Tell me a story of a lighthouse."
with Anthropic().messages.stream(
    model="claude-sonnet-5-5", max_tokens=1000, messages=[{"role": "user", "content": question}]
) as stream:
    for text in stream.text_stream:
        print(text, end="", flush=True)
print()
