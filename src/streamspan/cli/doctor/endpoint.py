"""Where an OTLP exporter sends to, and whether somebody listens there.

Nothing is sent: a connection is opened and closed, with the handshake of TLS where the exporter would make one. Behind
a proxy only the proxy is asked for.
"""

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from .finding import Environment, Finding

Signal = Literal["traces", "metrics", "logs"]
Protocol = Literal["grpc", "http/protobuf"]
PREFIX = "OTEL_EXPORTER_OTLP_"
CONNECT_TIMEOUT = 3.0
CERTIFICATES = ("CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY")
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


def variable_of(name: str, signal: Signal, environment: Environment) -> str | None:
    """Which variable gives this value to the exporter of the signal."""
    of_signal, of_all = f"{PREFIX}{signal.upper()}_{name}", PREFIX + name
    return next((variable for variable in (of_signal, of_all) if environment.get(variable, "").strip()), None)


def value_of(name: str, signal: Signal, environment: Environment) -> str:
    return environment.get(variable_of(name, signal, environment) or "", "").strip()


def endpoint(protocol: Protocol, signal: Signal, environment: Environment) -> Endpoint:
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


def path_of(url: SplitResult, signal: Signal, *, is_whole: bool) -> str:
    """The address for one signal is used as it is; that for all gets the signal's path."""
    return url.path if is_whole else f"{url.path.rstrip('/')}/v1/{signal}"


def is_encrypted(scheme: str, protocol: Protocol, insecure: str) -> bool:
    if scheme == "https" or protocol == "http/protobuf":
        return scheme == "https"
    return insecure.lower() != "true" if insecure else scheme != "http"


# --- is somebody there? ----------------------------------------------------------------------------------------------


def reached(signal: Signal, target: Endpoint, environment: Environment) -> Finding:
    check, proxy = f"export.{signal}", proxy_of(target)
    through = f" through the proxy {proxy[0]}:{proxy[1]}" if proxy else ""
    where = f"{signal} go by {target.protocol} to {target.shown}{through} ({target.origin or 'the default'})"
    failure = failure_to_reach(target, proxy, signal, environment)
    if failure is None:
        return Finding(check, "ok", f"{where}: can be reached")
    command = f"export NO_PROXY={target.host}" if proxy else cure_for_unreached(signal, target)
    return Finding(check, "problem", f"{where}: {failure}", command)


def proxy_of(target: Endpoint) -> tuple[str, int] | None:
    """Host and port of the proxy that the exporter goes through, as the machine names it."""
    proxies = getproxies()
    schemes = ["grpc", "https", "http"] if target.protocol == "grpc" else ["https" if target.is_encrypted else "http"]
    proxy = next((proxies[scheme] for scheme in (*schemes, "all") if proxies.get(scheme)), None)
    if proxy is None or proxy_bypass(f"{target.host}:{target.port}"):
        return None
    url = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return url.hostname or "", url.port or DEFAULT_PORTS.get(url.scheme, 80)


def failure_to_reach(
    target: Endpoint, proxy: tuple[str, int] | None, signal: Signal, environment: Environment
) -> str | None:
    """Why nobody listens there; None if somebody does."""
    try:
        with socket.create_connection(proxy or (target.host, target.port), CONNECT_TIMEOUT) as connection:
            if target.is_encrypted and not proxy:
                trusted(signal, environment).wrap_socket(connection, server_hostname=target.host).close()
    except ssl.SSLCertVerificationError as failure:
        return f"its certificate is not trusted: {failure.verify_message}"
    except ssl.SSLError as failure:
        return f"no TLS there: {failure.reason}"
    except OSError as failure:
        return failure.strerror or str(failure)
    return None


def trusted(signal: Signal, environment: Environment) -> ssl.SSLContext:
    """The certificates that the exporters trust and show. Raises OSError for a file that is not there."""
    for variable in filter(None, (variable_of(name, signal, environment) for name in CERTIFICATES)):
        if not Path(environment[variable].strip()).is_file():
            raise OSError(f"{variable} names no file")
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


def cure_for_unreached(signal: Signal, target: Endpoint) -> str:
    """Where nobody said where a collector is, the receiver that streamspan has is one, and speaks HTTP."""
    is_http = target.protocol == "http/protobuf" and not target.is_encrypted
    if is_http and (target.host, target.port) in {("localhost", 4318), ("127.0.0.1", 4318)}:
        return "streamspan watch  # in another terminal; or start your collector"
    if target.origin is None:
        return f"export {PREFIX}PROTOCOL=http/protobuf  # then: streamspan watch"
    return local_address(target.origin, signal, target.protocol)


def local_address(variable: str, signal: Signal, protocol: Protocol) -> str:
    path = "" if variable == f"{PREFIX}ENDPOINT" or protocol == "grpc" else f"/v1/{signal}"
    return f"export {variable}=http://localhost:{PORTS[protocol]}{path}  # your collector"


def doubtful(signal: Signal, target: Endpoint, environment: Environment) -> Iterator[Finding]:
    """What can be right, and mostly is a mistake."""
    other = other_protocol(target.protocol)
    if target.port == PORTS[other]:
        text = f"{target.port} is the port of OTLP by {other}, and {signal} go there by {target.protocol}"
        origin = variable_of("PROTOCOL", signal, environment) or f"{PREFIX}PROTOCOL"
        yield Finding(f"export.{signal}.port", "warning", text, f"export {origin}={other}")
    path = f"/v1/{signal}"
    if target.protocol == "http/protobuf" and not (target.shown.endswith(path) and target.shown.count(path) == 1):
        text = f"{signal} are sent to {target.shown}; the path of OTLP ends in one {path}"
        yield Finding(f"export.{signal}.path", "warning", text, f"unset {target.origin}")
    headers = variable_of("HEADERS", signal, environment)
    if headers and any("=" not in item for item in environment[headers].strip().strip(",").split(",")):
        text = f"{headers} must be name=value,name=value: what is not is left out"
        yield Finding(f"export.{signal}.headers", "warning", text)
