"""Runs a command against a Messages API on this machine, or against the real one where ANTHROPIC_API_KEY is set.

    python examples/loopback.py opentelemetry-instrument python examples/script.py

The answers are made up, and slow enough to be stopped. Says of each whether its reader stayed to the end.
"""

import os
import signal
import subprocess
import sys
from threading import Thread

from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Pause, Script, paced
from streamspan.cli.demo.server import Exchange, MessagesServer

STORY = (
    "The keeper of the lighthouse had not spoken to anyone since the spring, and when the fog came in that evening he "
    "was almost glad of it. He lit the lamp, wound the clock that turned it, and sat down with his soup. At nine there "
    "was a knock. Nobody knocks at a lighthouse: the next house is an hour away, over rocks that the tide takes twice "
    "a day. He opened the door, and there was a girl of about ten, dry as a biscuit, with a lantern that was not lit. "
    "“Your light is late,” she said. He looked at the clock, and it had stopped. Since when, he could not say. Behind "
    "her, far out, a ship blew its horn, and then a second one, much nearer, and he understood that she had not come "
    "to be let in. He ran up the stairs, all hundred and twelve of them, and turned the lamp by hand until morning. "
    "When the fog had gone he counted four ships that lay at anchor in the bay. There was nobody at the door, but on "
    "the step stood a lantern, and it was burning."
)
CARD = "Of course! Your card is valid until next June. Its number is 4111 1111 1111 1111. Would you like to change it?"


def answer_to(exchange: Exchange) -> Script:
    Thread(target=tell_how_it_ended, args=[exchange], daemon=True).start()
    _, _, last_question = str(exchange.body).rpartition("'content':")
    text = CARD if "card" in last_question else STORY
    words = paced(wire.text_block(0, text, size=5), 0.04)
    begin = [wire.message_start(), wire.ping(), Pause(0.5)]
    return [*begin, *words, wire.message_delta("end_turn", len(text) // 4), wire.message_stop()]


def tell_how_it_ended(exchange: Exchange) -> None:
    exchange.finished.wait()
    how = "the reader left in the middle" if exchange.disconnected.is_set() else "was read to the end"
    print(f"loopback: {exchange.method} {exchange.path}: {how}", file=sys.stderr, flush=True)


def main(command: list[str]) -> int:
    """Gives the exit status of the command."""
    if not command:
        sys.exit(__doc__)
    if "ANTHROPIC_API_KEY" in os.environ:
        return status_of(command, {})
    with MessagesServer(choose=answer_to) as server:
        no_proxy = f"127.0.0.1,{os.environ.get('NO_PROXY', '')}"
        here = {"ANTHROPIC_BASE_URL": server.url, "ANTHROPIC_API_KEY": "none", "NO_PROXY": no_proxy}
        return status_of(command, here)


def status_of(command: list[str], environment: dict[str, str]) -> int:
    running = subprocess.Popen(command, env={**os.environ, **environment})
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the command too, which ends as it likes
    signal.signal(signal.SIGTERM, lambda _number, _frame: running.terminate())  # kill reaches this process only
    return running.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
