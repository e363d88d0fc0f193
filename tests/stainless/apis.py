"""The APIs that the tests of this folder are about: a provider is a row more."""

from tests.anthropic.messages import MESSAGES

APIS = [MESSAGES]
