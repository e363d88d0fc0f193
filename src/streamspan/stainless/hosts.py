"""Whose API it is, by the host, for an SDK that is used with the servers of many."""

from collections.abc import Mapping

_HOSTS: Mapping[str, str] = {
    "openai.azure.com": "azure.ai.openai",
    "cognitiveservices.azure.com": "azure.ai.openai",
    "ai.azure.com": "azure.ai.inference",
    "amazonaws.com": "aws.bedrock",
    "generativelanguage.googleapis.com": "gcp.gemini",
    "googleapis.com": "gcp.vertex_ai",
    "anthropic.com": "anthropic",
    "cohere.ai": "cohere",
    "cohere.com": "cohere",
    "deepseek.com": "deepseek",
    "groq.com": "groq",
    "mistral.ai": "mistral_ai",
    "cloud.ibm.com": "ibm.watsonx.ai",
    "moonshot.ai": "moonshot_ai",
    "moonshot.cn": "moonshot_ai",
    "perplexity.ai": "perplexity",
    "x.ai": "x_ai",
}
"""The providers that the conventions name, by the domain of their API; the first counts."""


def provider_at(host: str) -> str | None:
    """As the conventions name it. None: it is not known."""
    return next((name for domain, name in _HOSTS.items() if f".{host}".endswith(f".{domain}")), None)
