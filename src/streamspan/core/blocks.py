"""The content blocks of a stream: what their deltas add up to, and what is judged of each.

Deltas arrive in batches of one block and one kind, because joining and searching text costs more per call than per
character.
"""

from array import array
from collections.abc import Mapping, Sequence
from typing import Literal

from .captured import Output, Text
from .loops.detector import Repetition, RepetitionDetector
from .loops.rumination import RuminationSearch
from .loops.tool_calls import ToolCallLoop, checksum_of
from .model import BlockStart, ContentBlock, DeltaKind, Fact, Loop, Phase, Rumination, ToolCall
from .tool_input import ToolInput, Verdict

LoopSearch = Literal["off", "exact", "drift"]
"""Which loops are looked for; `drift` includes the exact ones."""

RuminationSearchIn = Literal["off", "thinking", "all"]
"""In which channels rumination is looked for; `all` are the text and the thinking."""

_FOLLOWED_EVERY = 160  # chars
_MARKS = 96  # of 16 bytes each; as many as the detector's window has looks
_OPEN_BLOCKS_AT_MOST = 64  # providers send one block after the other; a stream of starts alone must not use memory
_WATCHED_BLOCKS_AT_MOST = 2
_RESTING_BYTES = 4 * 1024  # of the text of a channel that waits for its next block
_UNANNOUNCED = BlockStart(-1, "", "other")
_PHASES: Mapping[str, Phase] = {
    "text": "text",
    "thinking": "thinking",
    "hidden_thinking": "thinking",
    "tool_call": "tool_input",
    "other": "between_blocks",
}


class LoopWatch:
    """Looks for a loop in one channel, over all blocks that follow each other in it, and follows the first one.

    Where a block begins after the loop was found, another is looked for once the text has left the first.
    """

    __slots__ = (
        "_before",
        "_began_at",
        "_channel",
        "_chars",
        "_detector",
        "_drift",
        "_first",
        "_follow_from",
        "_has_new_block",
        "_loop_chars",
        "_marks",
        "_rumination",
        "_until",
    )

    def __init__(self, channel: DeltaKind, chars_before: int, *, drift: bool, rumination: bool = False) -> None:
        self._channel: DeltaKind = channel
        self._before = chars_before
        self._drift = drift
        self._detector = RepetitionDetector(drift=drift)
        self._rumination = RuminationSearch() if rumination else None  # until there is one, or a loop
        self._first: Loop | None = None  # once another is looked for
        self._has_new_block = False  # since the loop was found
        self._chars = 0
        self._marks = array("d")  # alternating: a number of chars, and when they had come
        self._began_at: float | None = None
        self._until = 0.0
        self._loop_chars = 0
        self._follow_from = 0

    def feed(self, text: str, at: float) -> Loop | Rumination | None:
        """The loop, or the rumination, at the text that makes it one."""
        self._chars += len(text)
        found = self._detector.feed(text)
        if self._began_at is not None:
            if self._chars >= self._follow_from:
                self._follow(at)
            return None
        self._marks.extend((self._chars, at))
        del self._marks[: -2 * _MARKS]
        if found is not None:
            return self._found(found, at)
        return None if self._rumination is None else self._ruminates(self._rumination, text, at)

    def finish(self, at: float, *, may_go_on: bool) -> Loop | None:
        """The loop, if only the last chars make it one."""
        if self._began_at is not None:
            self._follow(at)
            return None
        found = self._detector.finish(may_go_on=may_go_on)
        return None if found is None else self._found(found, at)

    def is_at(self, chars: int) -> bool:
        """Whether it has seen the channel up to there."""
        return self._before + self._chars == chars

    def resume(self) -> None:
        """Another block goes on with the channel."""
        self._has_new_block = True
        self._look_for_another()

    def rest(self) -> None:
        """Hold less while another channel is watched."""
        self._detector.shorten(_RESTING_BYTES)

    @property
    def loop(self) -> Loop | None:
        """The first loop as of now; None where there is none."""
        if self._first is not None:
            return self._first
        repetition = self._detector.repetition
        return None if repetition is None else self._as_of_now(repetition)

    def _look_for_another(self) -> None:
        if self._has_new_block and self._began_at is not None and self._detector.recovered:
            self._first = self.loop
            self._before += self._chars
            self._chars = self._loop_chars = self._follow_from = 0
            self._detector = RepetitionDetector(drift=self._drift)
            self._began_at = None
            self._has_new_block = False

    def _ruminates(self, search: RuminationSearch, text: str, at: float) -> Rumination | None:
        seen = search.feed(text, at)
        if seen is None:
            return None
        self._rumination = None
        return Rumination(self._channel, self._before + seen.start, seen.chars, seen.share, at - seen.at)

    def _found(self, repetition: Repetition, at: float) -> Loop:
        self._rumination = None
        marks = zip(self._marks[::2], self._marks[1::2], strict=True)
        self._began_at = next((came_at for chars, came_at in marks if chars > repetition.start), at)
        self._has_new_block = False
        del self._marks[:]
        self._until = at
        self._loop_chars = repetition.chars
        return self._as_of_now(repetition)

    def _follow(self, at: float) -> None:
        self._follow_from = self._chars + _FOLLOWED_EVERY
        repetition = self._detector.repetition
        if repetition is not None and repetition.chars > self._loop_chars:
            self._loop_chars = repetition.chars
            self._until = at
        self._look_for_another()

    def _as_of_now(self, repetition: Repetition) -> Loop:
        return Loop(
            channel=self._channel,
            kind=repetition.kind,
            start=self._before + repetition.start,
            period=repetition.period,
            count=repetition.count,
            chars=repetition.chars,
            time=self._until - (self._began_at or self._until),
            recovered=self._detector.recovered,
        )


class OpenBlock:
    """One block until it stops.

    kind        the kind of its last delta; None before the first
    captured    where its content goes; None: it is not captured
    given       its content comes with its start: the next chunk is that content (`due`), or it has been (`taken`)
    verdict     on a tool call's input, once the block has closed
    checksum    of a tool call's name and input
    started_at  on the caller's clock
    watch       what looks for a loop in it; None: nothing does
    """

    __slots__ = (
        "_chars_before_kind",
        "_tool_input",
        "captured",
        "chars",
        "checksum",
        "chunk_count",
        "given",
        "kind",
        "start",
        "started_at",
        "verdict",
        "watch",
    )

    def __init__(self, start: BlockStart, at: float) -> None:
        self.start = start
        self.kind: DeltaKind | None = None
        self.captured: Text | None = None
        self.given: Literal["", "due", "taken"] = ""
        self.chars = 0
        self.chunk_count = 0
        self.checksum = checksum_of(start.tool_name or "") if start.kind == "tool_call" else 0
        self._chars_before_kind = 0
        self.started_at = at
        self._tool_input = ToolInput(is_plain=start.plain_input) if start.kind == "tool_call" else None
        self.watch: LoopWatch | None = None
        self.verdict: Verdict = "unfinished"

    def begin(self, kind: DeltaKind, watch: LoopWatch | None) -> None:
        """Deltas of this kind follow."""
        self.kind = kind
        self._chars_before_kind = self.chars
        self.watch = watch

    @property
    def has_whole_input(self) -> bool:
        """Of a tool call: as far as it has come."""
        return self._tool_input is not None and self._tool_input.is_whole

    @property
    def chars_of_kind(self) -> int:
        """Chars of the kind of its last delta, since that kind began."""
        return self.chars - self._chars_before_kind

    def add(self, text: str, chunk_count: int, at: float) -> Loop | Rumination | None:
        """Chunks whose last came at `at`. The loop or the rumination, if they complete one."""
        self.chunk_count += chunk_count
        self.chars += len(text)
        if self._tool_input is not None:
            if self.given:
                self._take_given(text)
            else:
                self._tool_input.feed(text)
            self.checksum = checksum_of(text, self.checksum)
        if self.captured is not None:
            self.captured.add(text)
        return None if self.watch is None else self.watch.feed(text, at)

    def _take_given(self, text: str) -> None:
        """The input of a tool call whose start has one. Where deltas come the SDK drops it: they are judged alone."""
        self._tool_input = ToolInput()
        if self.given == "due":
            self.given = "taken"
            self._tool_input.take_whole(text)
        else:
            self.given = ""
            self.checksum = checksum_of(self.start.tool_name or "")
            self._tool_input.feed(text)
            if self.captured is not None:
                self.captured.clear()

    def closed(self, at: float, stream_started_at: float, *, complete: bool, stopped: bool) -> ContentBlock:
        return ContentBlock(
            index=self.start.index,
            type=self.start.type,
            start=self.started_at - stream_started_at,
            duration=at - self.started_at,
            chars=self.chars,
            chunk_count=self.chunk_count,
            complete=complete,
            tool_call=None if self._tool_input is None else self._tool_call(self._tool_input, complete),
            stopped=stopped,
        )

    def _tool_call(self, tool_input: ToolInput, closed: bool) -> ToolCall:
        self.verdict = tool_input.verdict()
        valid = self.verdict == "complete"
        return ToolCall(
            name=self.start.tool_name,
            id=self.start.tool_id,
            type=self.start.type,
            input_chars=tool_input.chars,
            complete=closed and valid,
            valid_json=valid,
        )


class Blocks:
    """All blocks of a stream: those that are open, and the counts of all.

    Every tool call is counted once: completed, incomplete or invalid.

    chunk_count, chars  of the blocks that have closed
    loop                the first, as it was when it was found, and in the end as it ended
    rumination          the first
    output              where the content of blocks goes; None: it is not captured
    thinking_time       seconds in blocks of thinking that have closed; None: there was none
    """

    __slots__ = (
        "_current",
        "_last_call_may_be_cut",
        "_looping",
        "_loops",
        "_open",
        "_output_was_cut",
        "_rumination_in",
        "_started_at",
        "_tool_call_loop",
        "_unannounced",
        "_watches",
        "chars",
        "chunk_count",
        "count",
        "loop",
        "output",
        "rumination",
        "thinking_time",
        "tool_calls",
    )

    def __init__(self, started_at: float, loops: LoopSearch, rumination: RuminationSearchIn = "off") -> None:
        self._started_at = started_at
        self._loops: LoopSearch = loops
        self._rumination_in: RuminationSearchIn = rumination
        self._open: dict[int, OpenBlock] = {}
        self._unannounced = OpenBlock(_UNANNOUNCED, started_at)  # takes deltas of blocks that are not open
        self._current = self._unannounced
        self._last_call_may_be_cut = False
        self._output_was_cut = False
        self._watches: dict[DeltaKind, LoopWatch] = {}  # of channels that go on from block to block
        self._tool_call_loop = None if loops == "off" else ToolCallLoop()
        self._looping: LoopWatch | ToolCallLoop | None = None  # what told of the first loop
        self.output: Output | None = None
        self.count = 0
        self.chunk_count = 0
        self.chars: dict[DeltaKind, int] = {"text": 0, "thinking": 0, "tool_input": 0}
        self.loop: Loop | None = None
        self.rumination: Rumination | None = None
        self.thinking_time: float | None = None
        self.tool_calls = ToolCallCounts()

    @property
    def are_open(self) -> bool:
        return bool(self._open)

    @property
    def phase(self) -> Phase:
        """What the block that began last delivers."""
        for block in reversed(tuple(self._open.values())):
            return _PHASES[block.start.kind]
        return "between_blocks"

    def has_whole_input(self, index: int) -> bool:
        """Whether the open block with this index is a tool call whose input is whole as far as it has come."""
        block = self._open.get(index)
        return block is not None and block.has_whole_input

    def has_chunks(self, index: object) -> bool:
        """Whether content has come of the open block with this index."""
        block = self._open.get(index) if isinstance(index, int) else None
        return block is None or block.chunk_count > 0

    def started(self, start: BlockStart, at: float) -> tuple[Fact, ...]:
        """A block begins. A block of the same index that is still open is cut off by it, which is the fact given."""
        self.count += 1
        replaced = self._open.pop(start.index, None)
        facts = () if replaced is None else self._closed(replaced, at, at, complete=False, stopped=False)
        if start.kind == "tool_call":
            self.tool_calls.count += 1
        if len(self._open) < _OPEN_BLOCKS_AT_MOST:
            block = self._current = self._open[start.index] = OpenBlock(start, at)
            if self.output is not None:
                block.captured = self.output.part(start)
        else:
            self._current = self._unannounced
            self.tool_calls.incomplete += start.kind == "tool_call"
        return facts

    def added(self, kind: DeltaKind, index: object, text: str, at: float) -> tuple[Fact, ...]:
        """One chunk of any block."""
        block = self._current
        if block.start.index != index:
            block = self._current = (
                self._open.get(index, self._unannounced) if isinstance(index, int) else self._unannounced
            )
        facts = self._kind_begins(block, kind, at) if block.kind != kind else ()
        return facts + self._told(block.add(text, 1, at), block.watch)

    def continued(self, text: str, chunk_count: int, at: float) -> tuple[Fact, ...]:
        """More chunks of the block and kind of the last one."""
        block = self._current
        return self._told(block.add(text, chunk_count, at), block.watch)

    def stopped(self, index: object, at: float, last_chunk_at: float) -> tuple[Fact, ...]:
        """The block with this index has stopped. Gives the block, if it was open."""
        block = self._open.pop(index, None) if isinstance(index, int) else None
        return () if block is None else self._closed(block, at, last_chunk_at, complete=True, stopped=True)

    def content_is_given(self) -> None:
        """The next chunk came with the start of the block that began last."""
        self._current.given = "due"

    def closed_by_end(self, at: float, last_chunk_at: float) -> tuple[Fact, ...]:
        """The message has ended, which closes the blocks that are open. Gives them."""
        facts = self._all_closed(at, last_chunk_at, complete=True)
        self.output_was_cut(self._output_was_cut)
        return facts

    def abandoned(self, at: float, last_chunk_at: float) -> tuple[Fact, ...]:
        """Another message begins. Gives the blocks that it cuts off."""
        self._last_call_may_be_cut = self._output_was_cut = False
        return self._all_closed(at, last_chunk_at, complete=False)

    def cut_off(self, at: float, last_chunk_at: float) -> tuple[Fact, ...]:
        """The stream has ended. Gives the blocks that were open."""
        self._count(self._unannounced)
        facts = self._all_closed(at, last_chunk_at, complete=False)
        for watch in self._watches.values():
            facts += self._told(watch.finish(last_chunk_at, may_go_on=False), watch)
        if self._looping is not None:
            self.loop = self._looping.loop
        return facts

    def output_was_cut(self, was_cut: bool) -> None:
        """Whether a limit stopped the model. An empty or plain tool input is whole, unless the model was cut."""
        if self._last_call_may_be_cut and was_cut:
            self.tool_calls.completed -= 1
            self.tool_calls.incomplete += 1
        self._last_call_may_be_cut = False
        self._output_was_cut = was_cut

    def counts_so_far(self, waiting: Sequence[str]) -> tuple[int, dict[DeltaKind, int]]:
        """Chunks and chars, with those of open blocks and the `waiting` chunks that go on with the last one."""
        chunk_count, chars = self.chunk_count, dict(self.chars)
        for block in (self._unannounced, *self._open.values()):
            if block.kind is not None:
                chunk_count += block.chunk_count
                chars[block.kind] += block.chars_of_kind
        if self._current.kind is not None:
            chunk_count += len(waiting)
            chars[self._current.kind] += sum(map(len, waiting))
        return chunk_count, chars

    def _kind_begins(self, block: OpenBlock, kind: DeltaKind, at: float) -> tuple[Fact, ...]:
        """The first delta of a block, or the first of another kind in it."""
        facts = self._watch_ends(block, at)
        self._count_chars(block)
        block.begin(kind, self._watch(block, kind))
        return facts

    def _watch(self, block: OpenBlock, kind: DeltaKind) -> LoopWatch | None:
        """What looks for a loop in what follows of the block: as a rule what has watched the channel until now.

        Each tool call has a watch of its own, and so has a block that is open beside another that is watched.
        """
        if self._loops == "off" or block is self._unannounced:
            return None
        in_use = [other.watch for other in self._open.values() if other is not block and other.watch is not None]
        if len(in_use) >= _WATCHED_BLOCKS_AT_MOST:
            return None
        watch = self._watches.get(kind)
        if watch is not None and watch not in in_use and watch.is_at(self.chars[kind]):
            watch.resume()
        else:
            had_none = watch is None or watch not in in_use
            watch = LoopWatch(
                kind,
                self.chars[kind],
                drift=self._loops == "drift",
                rumination=kind != "tool_input" and self._rumination_in in {kind, "all"},
            )
            if kind != "tool_input" and had_none:
                self._watches[kind] = watch
        for other in self._watches.values():
            if other is not watch and other not in in_use:
                other.rest()
        return watch

    def _watch_ends(self, block: OpenBlock, at: float) -> tuple[Fact, ...]:
        watch = block.watch
        if watch is None:
            return ()
        return self._told(watch.finish(at, may_go_on=watch in self._watches.values()), watch)

    def _told(
        self, found: Loop | Rumination | None, by: LoopWatch | ToolCallLoop | None
    ) -> tuple[Loop | Rumination, ...]:
        if found is None:
            return ()
        if isinstance(found, Rumination):
            self.rumination = self.rumination or found
        elif self._looping is None:
            self._looping, self.loop = by, found
        return (found,)

    def _all_closed(self, at: float, last_chunk_at: float, *, complete: bool) -> tuple[Fact, ...]:
        """Those that are open, without stops of their own."""
        facts: tuple[Fact, ...] = ()
        for index in tuple(self._open):
            facts += self._closed(self._open.pop(index), at, last_chunk_at, complete=complete, stopped=False)
        return facts

    def _closed(
        self, block: OpenBlock, at: float, last_chunk_at: float, *, complete: bool, stopped: bool
    ) -> tuple[Fact, ...]:
        """`stopped`: whether its own stop has come."""
        facts = self._watch_ends(block, last_chunk_at)
        chars_before = self.chars["tool_input"]
        self._count(block)
        self._current = self._unannounced
        closed = block.closed(at, self._started_at, complete=complete, stopped=stopped)
        if block.start.kind in {"thinking", "hidden_thinking"}:
            self.thinking_time = (self.thinking_time or 0.0) + closed.duration
        call = closed.tool_call
        self._last_call_may_be_cut = (
            call is not None and call.complete and (block.start.plain_input or call.input_chars == 0)
        )
        if call is not None:
            self.tool_calls.add(call, block.verdict)
            if complete and self._tool_call_loop is not None:
                loop = self._tool_call_loop.add(call.input_chars, block.checksum, chars_before, block.started_at, at)
                facts += self._told(loop, self._tool_call_loop)
        return (*facts, closed)

    def _count(self, block: OpenBlock) -> None:
        self.chunk_count += block.chunk_count
        self._count_chars(block)

    def _count_chars(self, block: OpenBlock) -> None:
        if block.kind is not None:
            self.chars[block.kind] += block.chars_of_kind


class ToolCallCounts:
    """The tool calls of a stream: all that began, and how those that closed came out."""

    __slots__ = ("completed", "count", "incomplete", "invalid")

    def __init__(self) -> None:
        self.count = self.completed = self.incomplete = self.invalid = 0

    def add(self, call: ToolCall, verdict: Verdict) -> None:
        if call.complete:
            self.completed += 1
        elif verdict == "invalid":
            self.invalid += 1
        else:
            self.incomplete += 1
