"""How a stream must end, by its fault and its reader. An ending is the outcome with its reason or its error type."""

from collections.abc import Mapping

from .faults import Fault
from .readers import CANCELLED

MET: Mapping[Fault, str] = {
    "none": "complete",
    "slow": "complete",
    "retried": "complete",
    "error event": "error overloaded_error",
    "truncated": "truncated stream_truncated",
    "cut": "error connection_error",
    "reset": "error connection_error",
    "silence": "error client_timeout_error",
    "malformed": "error client_error",
    "refused": "error invalid_request_error",
    "overloaded": "error overloaded_error",
}
"""What becomes of a stream whose reader reads on."""

LEFT: Mapping[str, str] = {
    "breaks": "aborted closed",
    "closes": "aborted closed",
    "drops unread": "aborted never_read",
    "drops": "aborted dropped",
    "drops in a cycle": "aborted dropped",
    "raises": "aborted consumer_error",
    "interrupted": "aborted cancelled",
}
"""What becomes of a stream that its reader leaves before the fault."""

UNOBSERVED = "none"
_NO_STREAM = frozenset[Fault]({"refused", "overloaded"})
_FAILS_BELOW_THE_EVENTS = frozenset[Fault]({"cut", "reset", "silence", *_NO_STREAM})


def possible_endings(fault: Fault, reader: str) -> frozenset[str]:
    """One, but for the two races."""
    met = MET[fault]
    if reader == "reads bytes":
        return frozenset({met if fault in _FAILS_BELOW_THE_EVENTS else UNOBSERVED})
    if reader == CANCELLED:
        # A race: the stream may be over when the cancellation comes.
        return frozenset({met, "aborted cancelled"})
    if reader not in LEFT or fault in _NO_STREAM:
        return frozenset({met})
    if fault == "reset":
        # A race: the kernel throws away what has arrived before a reset, if it has not been read yet.
        return frozenset({met, LEFT[reader]})
    return frozenset({LEFT[reader]})
