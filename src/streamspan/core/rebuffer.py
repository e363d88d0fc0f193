"""Whether a person who reads the text as it comes has to wait for it, as a video does whose buffer runs dry.

The person reads at a steady speed. Text that has come and is not read yet is the buffer. Waiting begins when it is
empty, and ends with the next text. Before the first text nobody reads: `time_to_first_text` tells of that.

Sources
    Brysbaert 2019, "How many words do we read per minute?": adults read 238 words a minute in silence, with the space
    after each word some 24 chars a second
    arXiv 2404.16283 (Andes), 2407.07000 (Etalon): the quality of a text stream as a reader meets it
"""

from math import inf

from .model import Rebuffer


class ReadingBuffer:
    """The text of one stream. The chars are kept whole, so that it does not matter in how many parts they come."""

    __slots__ = ("_chars", "_chars_per_second", "_pause_count", "_started_at", "_waiting_time")

    def __init__(self, chars_per_second: float) -> None:
        self._chars_per_second = chars_per_second
        self._started_at = inf
        self._chars = 0
        self._waiting_time = 0.0
        self._pause_count = 0

    @property
    def dry_at(self) -> float:
        """When the person has read all that has come; inf: no text has come."""
        return self._started_at + self._waiting_time + self._reading_time

    @property
    def rebuffer(self) -> Rebuffer | None:
        """As of now. None: no text has come."""
        if self._started_at == inf:
            return None
        return Rebuffer(self._reading_time, self._waiting_time, self._pause_count)

    def add(self, chars: int, at: float) -> None:
        """Text has come at `at`."""
        if self._started_at == inf:
            self._started_at = at
        self.waited(at)
        self._chars += chars

    def waited(self, until: float) -> None:
        """The person waits for more text until then, unless there still is some."""
        wait = until - self.dry_at
        if wait > 0.0:
            self._waiting_time += wait
            self._pause_count += 1

    @property
    def _reading_time(self) -> float:
        return self._chars / self._chars_per_second
