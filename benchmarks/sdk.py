"""The SDK whose streams are read: that of the provider that the reader's process is told as its first argument.

A module of each provider, `PROVIDER_sdk.py`, says how its SDK is used: they have the same names. An environment of a
peer has one SDK, so no process imports two.
"""

import importlib
import importlib.util
import sys
from typing import Any

PROVIDER = sys.argv[1]
SDK: Any = importlib.import_module(f"{PROVIDER}_sdk")
TRACES_ITSELF = importlib.util.find_spec(f"{PROVIDER}._tracing") is not None
"""Anthropic's does, from 1.14 on."""


def http_library() -> Any:
    """httpx2 in the newer SDKs, httpx in the older ones."""
    modules = [base.__module__.split(".")[0] for base in SDK.PACKAGE.DefaultHttpxClient.__mro__]
    return importlib.import_module(next(name for name in modules if name != PROVIDER))
