"""Where an OTLP exporter sends to, and whether somebody listens there.

Nothing is sent: a connection is opened and closed, with the handshake of TLS where the exporter would make one. Behind
a proxy only the proxy is asked for.
"""

import socket
import ssl
from dataclasses import dataclass
from typing import Literal
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from .finding import Environment, one_line

Protocol = Literal["grpc", "http/protobuf"]
PREFIX = "OTEL_EXPORTER_OTLP_"
CONNECT_TIMEOUT = 3.0
PORTS = {"grpc": 4317, "http/protobuf": 4318}
DEFAULT_PORTS = {"http": 80, "https": 443, "": 443}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """shown   the address without user, password and query
    origin  the variable that it comes from; None for the default.
    """

    protocol: Protocol
    shown: str
    host: str
    port: int
    is_encrypted: bool
    origin: str | None


def other_protocol(protocol: Protocol) -> Protocol:
    return "grpc" if protocol == "http/protobuf" else "http/protobuf"


def variable_of(name: str, signal: str, environment: Environment) -> str | None:
    """Which variable gives this value to the exporter of the signal."""
    of_signal, of_all = f"{PREFIX}{signal.upper()}_{name}", PREFIX + name
    return next((variable for variable in (of_signal, of_all) if environment.get(variable, "").strip()), None)


def value_of(name: str, signal: str, environment: Environment) -> str:
    return environment.get(variable_of(name, signal, environment) or "", "").strip()


def endpoint(protocol: Protocol, signal: str, environment: Environment) -> Endpoint:
    """As the exporters of OpenTelemetry for Python read it. Raises ValueError, with why the address is none."""
    origin = variable_of("ENDPOINT", signal, environment)
    text = environment.get(origin or "", "").strip() or f"http://localhost:{PORTS[protocol]}"
    try:
        url = urlsplit(text if "://" in text or protocol == "http/protobuf" else f"//{text}")
        host, port = url.hostname, url.port or DEFAULT_PORTS.get(url.scheme, 443)
    except ValueError:  # whose message may hold a password
        raise ValueError(f"{origin} is no address: its host or its port is malformed") from None
    if protocol == "http/protobuf" and url.scheme not in {"http", "https"}:
        raise ValueError(f"{origin} must begin with http:// or https://")
    if not host:
        raise ValueError(f"{origin} names no host")
    path = path_of(url, signal, is_whole=bool(origin and signal.upper() in origin)) if protocol != "grpc" else ""
    scheme = f"{url.scheme}://" if url.scheme else ""
    encrypted = is_encrypted(url.scheme, protocol, value_of("INSECURE", signal, environment))
    shown = f"{scheme}{f'[{host}]' if ':' in host else host}:{port}{path}"
    return Endpoint(protocol, shown, host, port, encrypted, origin)


def path_of(url: SplitResult, signal: str, *, is_whole: bool) -> str:
    """The address for one signal is used as it is; that for all gets the signal's path."""
    return url.path if is_whole else f"{url.path.rstrip('/')}/v1/{signal}"


def is_encrypted(scheme: str, protocol: Protocol, insecure: str) -> bool:
    if scheme == "https" or protocol == "http/protobuf":
        return scheme == "https"
    return insecure.lower() != "true" if insecure else scheme != "http"


def proxy_of(target: Endpoint) -> SplitResult | None:
    """The proxy that the exporter goes through, as the machine names it."""
    proxies = getproxies()
    schemes = ["grpc", "https", "http"] if target.protocol == "grpc" else ["https" if target.is_encrypted else "http"]
    proxy = next((proxies[scheme] for scheme in (*schemes, "all") if proxies.get(scheme)), None)
    if proxy is None or proxy_bypass(f"{target.host}:{target.port}"):
        return None
    return urlsplit(proxy if "://" in proxy else f"http://{proxy}")


def failure_to_reach(target: Endpoint, signal: str, environment: Environment) -> str | None:
    """Why nobody listens there; None if somebody does."""
    proxy = proxy_of(target)
    try:
        if proxy:
            address = proxy.hostname or "", proxy.port or DEFAULT_PORTS.get(proxy.scheme, 80)
            socket.create_connection(address, CONNECT_TIMEOUT).close()
            return None
        with socket.create_connection((target.host, target.port), CONNECT_TIMEOUT) as connection:
            if target.is_encrypted:
                trusted(signal, environment).wrap_socket(connection, server_hostname=target.host).close()
    except ssl.SSLCertVerificationError as failure:
        return f"its certificate is not trusted: {failure.verify_message}"
    except ssl.SSLError as failure:
        return f"no TLS there: {failure.reason}"
    except OSError as failure:
        return failure.strerror or one_line(failure)
    return None


def trusted(signal: str, environment: Environment) -> ssl.SSLContext:
    """The certificates that the exporters trust and show. Raises OSError for a file that is not there."""
    named = value_of("CERTIFICATE", signal, environment) or environment.get("REQUESTS_CA_BUNDLE")
    context = ssl.create_default_context(cafile=named or bundled())
    ours = value_of("CLIENT_CERTIFICATE", signal, environment)
    if ours:
        context.load_cert_chain(ours, value_of("CLIENT_KEY", signal, environment) or None)
    return context


def bundled() -> str | None:
    """The authorities that the HTTP exporter trusts by default; None: those of the system."""
    try:
        import certifi  # noqa: PLC0415  # comes with that exporter
    except ImportError:
        return None
    return certifi.where()
