"""OpenAI in the demo: two APIs as wire formats, and the SDK that reads them."""
