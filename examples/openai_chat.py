"""Prints an answer of OpenAI's as it comes. Press Ctrl-C: the span says the same as that of `script.py`."""

from openai import OpenAI

question = "Tell me a story of a lighthouse."
with OpenAI().chat.completions.create(
    model="gpt-5.5", messages=[{"role": "user", "content": question}], stream=True
) as stream:
    for chunk in stream:
        for choice in chunk.choices:
            print(choice.delta.content or "", end="", flush=True)
print()
