"""How a stream ends: signals in, a verdict out or nothing. The first verdict counts, and there is exactly one.

States
    opening        the call has been issued, and the response headers have not come
    unread         the headers have come, and nobody has read an event
    reading        the reader is inside the read of an event
    between_reads  the reader has an event, and has not asked for the next one
    bytes          the application reads the body as bytes, so nobody sees its events

Signals, and what each may be caused by
    finished         the provider's own end has arrived: none, or error where it says that the answer failed
    exhausted        the body has ended
    raised           a read, or the call, has raised:
                         error        a failure of the request, of the transport or of the data
                         closed       the read met a response that somebody had closed
                         cancelled    CancelledError, KeyboardInterrupt, SystemExit
    interrupted      an exception arose while an event was looked at, in a callback of the application or by a signal:
                         error, cancelled
    closed           the application closes the stream:
                         none         while it handles no exception
                         error        while it handles an exception of its own
                         sdk_error    while it handles an exception that the SDK's helper raised above this stream
                         generator    while a generator of the application is being closed, which does not say by whom
                         cancelled    while it handles a cancellation, or while the task that reads is being cancelled
    body_closed      the body of the response is closed, by the SDK after its last read or by the application; the
                     causes are those of `closed`
    dropped          the last reference to the response has gone: none, or cancelled as above
    unobservable     the response cannot be watched, or observing it has failed too often
    shutdown         the process ends

The table is `TABLE` below. None means that the signal ends nothing in that state: what the reader meets next will tell.

A stream whose reader left after the stop reason had arrived is complete all the same: see `stream.py`.
"""

from collections.abc import Mapping
from typing import Literal, get_args

from .model import Verdict

State = Literal["opening", "unread", "reading", "between_reads", "bytes"]
Signal = Literal[
    "finished",
    "exhausted",
    "raised",
    "interrupted",
    "closed",
    "body_closed",
    "dropped",
    "unobservable",
    "shutdown",
]
Cause = Literal["none", "error", "sdk_error", "generator", "closed", "cancelled"]

_STATES: tuple[State, ...] = get_args(State)

# fmt: off
TABLE: Mapping[tuple[Signal, Cause], tuple[Verdict | None, ...]] = {
    # signal, cause              opening           unread            reading           between_reads     bytes
    ("finished", "none"):        (None,             "complete",       "complete",       "complete",       None),
    ("finished", "error"):       (None,             "error",          "error",          "error",          None),
    ("exhausted", "none"):       (None,             "truncated",      "truncated",      "truncated",      "unobserved"),
    ("exhausted", "error"):      (None,             "error",          "error",          "error",          "unobserved"),
    ("raised", "error"):         ("error",          "error",          "error",          "error",          "error"),
    ("raised", "closed"):        ("closed",         "closed",         "closed",         "closed",         "unobserved"),
    ("raised", "cancelled"):     ("cancelled",      "cancelled",      "cancelled",      "cancelled",      "unobserved"),
    ("interrupted", "error"):    ("consumer_error", "consumer_error", "consumer_error", "consumer_error", "unobserved"),
    ("interrupted", "cancelled"):("cancelled",      "cancelled",      "cancelled",      "cancelled",      "unobserved"),
    ("closed", "none"):          ("closed",         "closed",         "closed",         "closed",         "unobserved"),
    ("closed", "error"):         ("consumer_error", "consumer_error", "consumer_error", "consumer_error", "unobserved"),
    ("closed", "sdk_error"):     ("error",          "error",          "error",          "error",          "unobserved"),
    ("closed", "generator"):     ("dropped",        "dropped",        "dropped",        "dropped",        "unobserved"),
    ("closed", "cancelled"):     ("cancelled",      "cancelled",      "cancelled",      "cancelled",      "unobserved"),
    ("body_closed", "none"):     (None,             "closed",         None,             "closed",         "unobserved"),
    ("body_closed", "error"):    (None,             "consumer_error", None,             "consumer_error", "unobserved"),
    ("body_closed", "sdk_error"):(None,             "error",          None,             "error",          "unobserved"),
    ("body_closed", "generator"):(None,             "dropped",        None,             "dropped",        "unobserved"),
    ("body_closed", "cancelled"):(None,             "cancelled",      None,             "cancelled",      "unobserved"),
    ("dropped", "none"):         ("cancelled",      "never_read",     "dropped",        "dropped",        "unobserved"),
    ("dropped", "cancelled"):    ("cancelled",      "never_read",     "cancelled",      "cancelled",      "unobserved"),
    ("unobservable", "none"):    ("unobserved",     "unobserved",     "unobserved",     "unobserved",     "unobserved"),
    ("shutdown", "none"):        ("shutdown",       "shutdown",       "shutdown",       "shutdown",       "unobserved"),
}
# fmt: on


class Lifecycle:
    """Where one stream is, and whether it has ended.

    state  the reader sets it around each read, because a call for each event would cost more than the read's two clocks
    """

    __slots__ = ("_unclaimed", "state")

    def __init__(self) -> None:
        self.state: State = "opening"
        self._unclaimed: list[None] = [None]

    @property
    def has_ended(self) -> bool:
        return not self._unclaimed

    def verdict(self, signal: Signal, cause: Cause = "none") -> Verdict | None:
        """How the stream ends by this signal. None: the signal ends nothing, or the stream has ended before.

        May be called from any thread, from a finalizer and from a signal handler, each of which may interrupt another
        call: `list.pop` is one step of the interpreter, so exactly one call gets the verdict.
        """
        verdict = TABLE[signal, cause][_STATES.index(self.state)]
        if verdict is None:
            return None
        try:
            self._unclaimed.pop()
        except IndexError:
            return None
        return verdict
