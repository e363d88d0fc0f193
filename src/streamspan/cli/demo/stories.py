"""What can happen to a stream: each story is a script of the server, an application, and what to expect.

A new story is one more `Story` in `STORIES`. Each plays for a second or two.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from streamspan.cli.drawing.finished import Finding
from streamspan.core.model import AbortReason, Outcome

from . import wire
from .applications import (
    Application,
    apologises_for_an_api_error,
    asks_for_too_much,
    gives_up_after_some_text,
    lets_another_model_go_on,
    limits_the_tool_input,
    never_reads,
    reads_every_event,
    shows_the_text,
    stops_at_the_second_email,
    stores_each_delta,
    survives_a_lost_connection,
    waits_for_the_message,
    writes_a_report_meanwhile,
)
from .script import Ending, Head, Pause, Script, Step, error_response, overloaded, paced
from .server import MessagesServer

STALL_SECONDS = 0.8
"""What the demo takes for a stall: shorter than the default of 5 s, longer than a hiccup of a busy machine."""


@dataclass(frozen=True, slots=True)
class Story:
    name: str
    about: str
    scripts: tuple[Script, ...]
    """One for each request that the SDK sends."""
    application: Application
    outcome: Outcome
    abort_reason: AbortReason | None = None
    findings: tuple[Finding, ...] = ()
    """What must have been found inside."""


def play(story: Story, *, speed: float = 1.0) -> None:
    """Plays the story at a server of its own."""
    with MessagesServer(speed=speed) as server:
        play_at(server, story)


def play_at(server: MessagesServer, story: Story) -> None:
    """Runs the application against the server. What the story makes fail stays inside the application."""
    server.scripts.clear()
    server.scripts.extend(story.scripts)
    story.application(server.url)


# --- scripts -----------------------------------------------------------------------------------------------------


def begun(*blocks: Iterable[Step], headers_after: float = 0.2, first_block_after: float = 0.3) -> list[Step]:
    """A message up to and including its blocks."""
    start = [wire.message_start(usage={"input_tokens": 412}), wire.ping()]
    steps: list[Step] = [Pause(headers_after), Head(), *start, Pause(first_block_after)]
    for block in blocks:
        steps += block
    return steps


def answer(*blocks: Iterable[Step], stop_reason: str = "end_turn", output_tokens: int = 64) -> list[Step]:
    """A whole message."""
    return [*begun(*blocks), Pause(0.05), wire.message_delta(stop_reason, output_tokens), wire.message_stop()]


def refused(*blocks: Iterable[Step], category: str) -> list[Step]:
    """A message that the model does not go on with."""
    details = wire.refusal(category)
    return [*begun(*blocks), Pause(0.3), wire.message_delta("refusal", 9, stop_details=details), wire.message_stop()]


def text(index: int, content: str, *, size: int = 6, pause: float = 0.025) -> list[Step]:
    return list(paced(wire.text_block(index, content, size=size), pause))


def frozen(steps: Sequence[Step], *, after: int, seconds: float, pings: int = 0) -> list[Step]:
    """The steps, with a silence after the first `after`, in which there are so many pings.

    Fewer than 20 chunks must follow it: at a high speed as many look like those that something held back.
    """
    pause = Pause(seconds / (pings + 1), never_shorter=True)
    return [*steps[:after], *[pause, wire.ping()] * pings, pause, *steps[after:]]


def buffered(*blocks: Iterable[Step], seconds: float) -> list[Step]:
    """A whole message, held back and then let go at once."""
    events = (step for step in answer(*blocks) if isinstance(step, wire.Event))
    return [Head(), Pause(seconds, never_shorter=True), b"".join(event.encoded() for event in events)]


def in_clumps(*blocks: Iterable[Step], events_at_once: int, seconds: float) -> list[Step]:
    """A whole message, held back for a while and let go, again and again."""
    events = [step.encoded() for step in answer(*blocks) if isinstance(step, wire.Event)]
    clumps = [b"".join(events[start : start + events_at_once]) for start in range(0, len(events), events_at_once)]
    return [Head(), *(step for clump in clumps for step in (Pause(seconds, never_shorter=True), clump))]


def thinking(index: int, content: str) -> list[Step]:
    return list(paced(wire.thinking_block(index, content, size=10), 0.025))


def tool(index: int, name: str, tool_input: str) -> list[Step]:
    """A tool call, after the silence in which the model decides on it."""
    return [Pause(0.12), *paced(wire.tool_block(index, name, tool_input, size=8), 0.03)]


SHIPPED = "Your order 4711 left our warehouse this morning and should be with you on Thursday."
REFUND = (
    "You can send the tent back within 30 days, even opened. I have put the label in your account; "
    "the money is with you three days after the parcel reaches us."
)
POLICY = (
    "The customer wants to return an opened tent. The order is 12 days old, the policy allows 30 days, "
    "and opening the box is no reason to refuse. So: a full refund, and the steps."
)
EMAIL_TO_DANA = '{"to":"dana@example.com","subject":"Your refund","body":"Dear Dana, the refund is on its way."}'
EMAIL_TO_LEE = '{"to":"lee@example.com","subject":"Your refund","body":"Dear Lee, the refund is on its way."}'
TENT_ADVICE = "Here is how you pack the tent. "
LOOPING_ADVICE = (
    "Shake the sand out of the tent and fold it along the seams. Roll it up from the closed end. "
    "If it does not fit into the bag, unroll it and begin again. "
)
ITEM = '{"sku":"peg-18","quantity":4,"note":"steel, for the tent"},'
ORDER_WITHOUT_END = '{"order_id":"4711","items":[' + ITEM * 14
TOO_MANY_TOKENS = "max_tokens: 900000 > 64000, which is the maximum allowed number of output tokens"

STORIES: tuple[Story, ...] = (
    Story(
        "clean",
        "A clean answer.",
        (answer(text(0, SHIPPED)),),
        reads_every_event,
        "complete",
    ),
    Story(
        "thinks",
        "The model thinks before it writes; the user waits for the first word.",
        (answer(thinking(0, POLICY), text(1, REFUND), output_tokens=131),),
        shows_the_text,
        "complete",
    ),
    Story(
        "tools",
        "Text, then two tool calls.",
        (
            answer(
                text(0, "Let me look at your order and at the weather for the parcel."),
                tool(1, "get_order", '{"order_id":"4711","include":["items","delivery"]}'),
                tool(2, "get_weather", '{"city":"Lisbon","day":"Thursday"}'),
                stop_reason="tool_use",
                output_tokens=118,
            ),
        ),
        waits_for_the_message,
        "complete",
    ),
    Story(
        "tool-cut",
        "max_tokens cuts the JSON of a tool call. The HTTP call is a success.",
        (
            answer(
                text(0, "I will write to Dana."),
                tool(1, "send_email", EMAIL_TO_DANA[:61]),
                stop_reason="max_tokens",
                output_tokens=64,
            ),
        ),
        reads_every_event,
        "complete",
    ),
    Story(
        "cut-off",
        "The body ends in the middle of a sentence. The SDK raises nothing.",
        (begun(text(0, REFUND)[:-16]),),
        reads_every_event,
        "truncated",
    ),
    Story(
        "overloaded",
        "The API sends an error after half of the answer. The status is 200.",
        ([*begun(text(0, REFUND)[:-26]), Pause(0.2), wire.error("overloaded_error", "Overloaded")],),
        apologises_for_an_api_error,
        "error",
    ),
    Story(
        "reset",
        "The connection is reset while a tool call is being written.",
        (
            [
                *begun(text(0, "I will write to Dana."), tool(1, "send_email", EMAIL_TO_DANA)[:-14]),
                Ending.RESET,
            ],
        ),
        survives_a_lost_connection,
        "error",
    ),
    Story(
        "stop",
        "The user presses Stop at the second e-mail. The first has been sent.",
        (
            answer(
                text(0, "I will write to Dana and Lee."),
                tool(1, "send_email", EMAIL_TO_DANA),
                tool(2, "send_email", EMAIL_TO_LEE),
                stop_reason="tool_use",
            ),
        ),
        stops_at_the_second_email,
        "aborted",
        "closed",
    ),
    Story(
        "cancelled",
        "The task that reads is cancelled.",
        (answer(text(0, f"{SHIPPED} {REFUND}")),),
        gives_up_after_some_text,
        "aborted",
        "cancelled",
    ),
    Story(
        "never-read",
        "The stream is opened, never read and dropped. It is billed.",
        (begun(text(0, SHIPPED), headers_after=0.4),),
        never_reads,
        "aborted",
        "never_read",
    ),
    Story(
        "freezes",
        "Freezes in the middle of a sentence. A stall is 0.8 s here, 5 s by default.",
        (answer(frozen(text(0, SHIPPED), after=14, seconds=1.2)),),
        reads_every_event,
        "complete",
        findings=("stall",),
    ),
    Story(
        "keep-alives-only",
        "The same, with a ping now and then: the line lives, and the model is silent.",
        (answer(frozen(text(0, SHIPPED), after=8, seconds=2.1, pings=6)),),
        reads_every_event,
        "complete",
        findings=("stall", "slower than reading"),
    ),
    Story(
        "loops",
        "Three sentences again and again, until max_tokens. The HTTP call is a success.",
        (
            answer(
                text(0, TENT_ADVICE + LOOPING_ADVICE * 6, size=12, pause=0.02),
                stop_reason="max_tokens",
                output_tokens=212,
            ),
        ),
        reads_every_event,
        "complete",
        findings=("loop",),
    ),
    Story(
        "loops-in-tool-input",
        "A tool call whose list never ends; no user sees it. The application gives up.",
        (
            answer(
                text(0, "I will order the pegs."),
                [Pause(0.12), *paced(wire.tool_block(1, "reorder", ORDER_WITHOUT_END, size=12), 0.025)],
            ),
        ),
        limits_the_tool_input,
        "aborted",
        "closed",
        findings=("loop",),
    ),
    Story(
        "buffered-by-proxy",
        "A proxy holds the answer back and lets it go at once. Nobody saw it stream.",
        (buffered(text(0, f"{SHIPPED} {REFUND}"), seconds=1.3),),
        reads_every_event,
        "complete",
        findings=("buffered",),
    ),
    Story(
        "gateway-in-clumps",
        "A gateway lets some 30 chunks go at once, again and again. The model is steady.",
        (in_clumps(text(0, f"{SHIPPED} {REFUND}", size=2), events_at_once=32, seconds=0.95),),
        reads_every_event,
        "complete",
        findings=("buffered", "held back"),
    ),
    Story(
        "blocked-event-loop",
        "Another task of the application blocks the event loop. The model is steady.",
        (answer(text(0, f"{SHIPPED} {REFUND}", pause=0.035)),),
        writes_a_report_meanwhile,
        "complete",
        findings=("loop blocked",),
    ),
    Story(
        "slow-reader",
        "The program takes 30 ms to store each delta. The model is quick.",
        (answer(text(0, f"{SHIPPED} {REFUND}", pause=0.002)),),
        stores_each_delta,
        "complete",
        findings=("slow reader",),
    ),
    Story(
        "refused",
        "The model begins to answer, and refuses to go on. The HTTP call is a success.",
        (refused(text(0, "To open the lock of your neighbour's "), category="general_harms"),),
        reads_every_event,
        "complete",
        findings=("refused",),
    ),
    Story(
        "falls-back",
        "The model refuses while it thinks. Another goes on in the same stream.",
        (
            answer(
                thinking(0, POLICY[:60]), [Pause(0.3), *wire.fallback_block(1, "cyber"), Pause(0.3)], text(2, SHIPPED)
            ),
        ),
        lets_another_model_go_on,
        "complete",
        findings=("falls back",),
    ),
    Story(
        "retries",
        "HTTP 529 twice, then an answer: the SDK retries in silence.",
        (overloaded(retry_after_ms=150), overloaded(retry_after_ms=250), answer(text(0, SHIPPED))),
        reads_every_event,
        "complete",
    ),
    Story(
        "bad-request",
        "HTTP 400: the stream never opens.",
        ([Pause(0.2), *error_response(400, "invalid_request_error", TOO_MANY_TOKENS)],),
        asks_for_too_much,
        "error",
    ),
)
