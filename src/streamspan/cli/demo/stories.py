"""What can happen to a stream of any provider: each story is an answer, an application, and what to expect.

A new story is one more `Story` in `STORIES`. Each plays for a second or two.
"""

from dataclasses import dataclass

from streamspan.cli.drawing.finished import Finding
from streamspan.core.model import AbortReason, Outcome

from .answer import (
    Fails,
    Rejected,
    Steps,
    answer,
    begun,
    buffered,
    frozen,
    in_clumps,
    refused,
    scripted,
    text,
    thinking,
    tool,
)
from .applications import (
    Api,
    Application,
    apologises_for_an_api_error,
    asks_for_too_much,
    gives_up_after_some_text,
    limits_the_tool_input,
    never_reads,
    reads_every_event,
    shows_the_text,
    stops_at_the_second_email,
    stores_each_event,
    survives_a_lost_connection,
    waits_for_the_answer,
    writes_a_report_meanwhile,
)
from .script import Ending, Pause
from .server import LoopbackServer

STALL_SECONDS = 0.8
"""What the demo takes for a stall: shorter than the default of 5 s, longer than a hiccup of a busy machine."""


@dataclass(frozen=True, slots=True)
class Story:
    name: str
    about: str
    answers: tuple[Steps, ...]
    """One for each request that the SDK sends."""
    application: Application
    outcome: Outcome
    abort_reason: AbortReason | None = None
    findings: tuple[Finding, ...] = ()
    """What must have been found inside."""


def play(story: Story, api: Api, *, speed: float = 1.0) -> None:
    """Plays the story at a server of its own."""
    with LoopbackServer(speed=speed) as server:
        play_at(server, story, api)


def play_at(server: LoopbackServer, story: Story, api: Api) -> None:
    """Runs the application against the server. What the story makes fail stays inside the application."""
    server.scripts.clear()
    server.scripts.extend(scripted(steps, api.wire()) for steps in story.answers)
    story.application(api, server.url)


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
BROKEN_EMAIL = '{"to":"dana@example.com","subject":"Your "refund""}'
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
        (answer(text(SHIPPED)),),
        reads_every_event,
        "complete",
    ),
    Story(
        "thinks",
        "The model thinks before it writes; the user waits for the first word.",
        (answer(thinking(POLICY), text(REFUND), output_tokens=131),),
        shows_the_text,
        "complete",
    ),
    Story(
        "tools",
        "Text, then two tool calls.",
        (
            answer(
                text("Let me look at your order and at the weather for the parcel."),
                tool("get_order", '{"order_id":"4711","include":["items","delivery"]}'),
                tool("get_weather", '{"city":"Lisbon","day":"Thursday"}'),
                stop_reason="tool call",
                output_tokens=118,
            ),
        ),
        waits_for_the_answer,
        "complete",
    ),
    Story(
        "tool-cut",
        "A token limit cuts the JSON of a tool call. The HTTP call is a success.",
        (
            answer(
                text("I will write to Dana."),
                tool("send_email", EMAIL_TO_DANA[:61]),
                stop_reason="length",
                output_tokens=64,
            ),
        ),
        reads_every_event,
        "complete",
        findings=("incomplete tool call",),
    ),
    Story(
        "tool-broken",
        "The model writes a tool call whose JSON is broken. The HTTP call is a success.",
        (
            answer(
                text("I will write to Dana."),
                tool("send_email", BROKEN_EMAIL),
                stop_reason="tool call",
            ),
        ),
        reads_every_event,
        "complete",
        findings=("invalid tool call",),
    ),
    Story(
        "cut-off",
        "The body ends in the middle of a sentence. The SDK raises nothing.",
        (begun(text(REFUND)[:-16]),),
        reads_every_event,
        "truncated",
    ),
    Story(
        "overloaded",
        "The API sends an error after half of the answer. The status is 200.",
        ([*begun(text(REFUND)[:-26]), Pause(0.2), Fails("overloaded")],),
        apologises_for_an_api_error,
        "error",
    ),
    Story(
        "reset",
        "The connection is reset while a tool call is being written.",
        (
            [
                *begun(text("I will write to Dana."), tool("send_email", EMAIL_TO_DANA)[:-14]),
                Ending.RESET,
            ],
        ),
        survives_a_lost_connection,
        "error",
        findings=("incomplete tool call",),
    ),
    Story(
        "stop",
        "The user presses Stop at the second e-mail. The first has been sent.",
        (
            answer(
                text("I will write to Dana and Lee."),
                tool("send_email", EMAIL_TO_DANA),
                tool("send_email", EMAIL_TO_LEE),
                stop_reason="tool call",
            ),
        ),
        stops_at_the_second_email,
        "aborted",
        "closed",
        findings=("tool call before abort", "incomplete tool call"),
    ),
    Story(
        "cancelled",
        "The task that reads is cancelled.",
        (answer(text(f"{SHIPPED} {REFUND}")),),
        gives_up_after_some_text,
        "aborted",
        "cancelled",
    ),
    Story(
        "never-read",
        "The stream is opened, never read and dropped. It is billed.",
        (begun(text(SHIPPED), headers_after=0.4),),
        never_reads,
        "aborted",
        "never_read",
    ),
    Story(
        "freezes",
        "Freezes in the middle of a sentence. A stall is 0.8 s here, 5 s by default.",
        (answer(frozen(text(SHIPPED), after=14, seconds=1.2)),),
        reads_every_event,
        "complete",
        findings=("stall",),
    ),
    Story(
        "keep-alives-only",
        "The same, with a ping now and then: the line lives, and the model is silent.",
        (answer(frozen(text(SHIPPED), after=8, seconds=2.1, pings=6)),),
        reads_every_event,
        "complete",
        findings=("stall", "slower than reading"),
    ),
    Story(
        "loops",
        "Three sentences again and again, up to the token limit. The HTTP call is a success.",
        (
            answer(
                text(TENT_ADVICE + LOOPING_ADVICE * 6, size=12, pause=0.02),
                stop_reason="length",
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
                text("I will order the pegs."),
                tool("reorder", ORDER_WITHOUT_END, size=12, pause=0.025),
            ),
        ),
        limits_the_tool_input,
        "aborted",
        "closed",
        findings=("loop", "incomplete tool call"),
    ),
    Story(
        "buffered-by-proxy",
        "A proxy holds the answer back and lets it go at once. Nobody saw it stream.",
        (buffered(text(f"{SHIPPED} {REFUND}"), seconds=1.3),),
        reads_every_event,
        "complete",
        findings=("buffered",),
    ),
    Story(
        "gateway-in-clumps",
        "A gateway lets some 30 chunks go at once, again and again. The model is steady.",
        (in_clumps(text(f"{SHIPPED} {REFUND}", size=2), parts_at_once=32, seconds=0.95),),
        reads_every_event,
        "complete",
        findings=("buffered", "held back"),
    ),
    Story(
        "blocked-event-loop",
        "Another task of the application blocks the event loop. The model is steady.",
        (answer(text(f"{SHIPPED} {REFUND}", pause=0.035)),),
        writes_a_report_meanwhile,
        "complete",
        findings=("loop blocked",),
    ),
    Story(
        "slow-reader",
        "The program takes 30 ms to store each delta. The model is quick.",
        (answer(text(f"{SHIPPED} {REFUND}", pause=0.002)),),
        stores_each_event,
        "complete",
        findings=("slow reader",),
    ),
    Story(
        "refused",
        "The model begins to answer, and refuses to go on. The HTTP call is a success.",
        (refused(text("To open the lock of your neighbour's "), category="general_harms"),),
        reads_every_event,
        "complete",
        findings=("refused",),
    ),
    Story(
        "retries",
        "The API is overloaded twice, then an answer: the SDK retries in silence.",
        (
            [Rejected("overloaded", retry_after_ms=150)],
            [Rejected("overloaded", retry_after_ms=250)],
            answer(text(SHIPPED)),
        ),
        reads_every_event,
        "complete",
        findings=("retried",),
    ),
    Story(
        "bad-request",
        "HTTP 400: the stream never opens.",
        ([Pause(0.2), Rejected("bad request", TOO_MANY_TOKENS)],),
        asks_for_too_much,
        "error",
    ),
)
