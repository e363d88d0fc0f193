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
    """dry_at  when the person has read all that has come; inf: no text has come."""

    __slots__ = ("_chars_per_second", "_pause_count", "_reading_time", "_waiting_time", "dry_at")

    def __init__(self, chars_per_second: float) -> None:
        self._chars_per_second = chars_per_second
        self._reading_time = 0.0
        self._waiting_time = 0.0
        self._pause_count = 0
        self.dry_at = inf

    def add(self, chars: int, at: float) -> None:
        """Text has come at `at`."""
        if self.dry_at == inf:
            self.dry_at = at
        self.waited(at)
        seconds = chars / self._chars_per_second
        self._reading_time += seconds
        self.dry_at += seconds

    def waited(self, until: float) -> None:
        """The person waits for more text until then, unless there still is some."""
        if until > self.dry_at:
            self._waiting_time += until - self.dry_at
            self._pause_count += 1
            self.dry_at = until

    @property
    def rebuffer(self) -> Rebuffer | None:
        """As of now. None: no text has come."""
        if self.dry_at == inf:
            return None
        return Rebuffer(self._reading_time, self._waiting_time, self._pause_count)
