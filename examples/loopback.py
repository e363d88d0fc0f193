"""Runs a command against the APIs of Anthropic and OpenAI on this machine.

    python examples/loopback.py opentelemetry-instrument python examples/script.py

Where ANTHROPIC_API_KEY or OPENAI_API_KEY is set, the command calls the real API of that provider. The answers are made
up, and slow enough to be stopped. Says of each whether its reader stayed to the end.
"""

import os
import signal
import subprocess
import sys
from threading import Thread

from streamspan.cli.demo.answer import answer, scripted, text
from streamspan.cli.demo.anthropic.messages import Messages
from streamspan.cli.demo.openai.chat import Chat
from streamspan.cli.demo.openai.responses import Responses
from streamspan.cli.demo.script import Script
from streamspan.cli.demo.server import Exchange, LoopbackServer

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


APIS = {"/messages": Messages, "/chat/completions": Chat, "/responses": Responses}
"""By the end of their paths."""


def answer_to(exchange: Exchange) -> Script:
    Thread(target=tell_how_it_ended, args=[exchange], daemon=True).start()
    _, _, last_question = str(exchange.body).rpartition("'content':")
    told = CARD if "card" in last_question else STORY
    api = next((api for path, api in APIS.items() if exchange.path.endswith(path)), Messages)
    return scripted(answer(text(told, size=5, pause=0.04), output_tokens=len(told) // 4), api())


def tell_how_it_ended(exchange: Exchange) -> None:
    exchange.finished.wait()
    how = "the reader left in the middle" if exchange.disconnected.is_set() else "was read to the end"
    print(f"loopback: {exchange.method} {exchange.path}: {how}", file=sys.stderr, flush=True)


def main(command: list[str]) -> int:
    """Gives the exit status of the command."""
    if not command:
        sys.exit(__doc__)
    with LoopbackServer(choose=answer_to) as server:
        urls = {"ANTHROPIC": server.url, "OPENAI": f"{server.url}/v1"}
        here = {"NO_PROXY": f"127.0.0.1,{os.environ.get('NO_PROXY', '')}"}
        for provider, url in urls.items():
            if f"{provider}_API_KEY" not in os.environ:
                here |= {f"{provider}_BASE_URL": url, f"{provider}_API_KEY": "none"}
        return status_of(command, here)


def status_of(command: list[str], environment: dict[str, str]) -> int:
    running = subprocess.Popen(command, env={**os.environ, **environment})
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the command too, which ends as it likes
    signal.signal(signal.SIGTERM, lambda _number, _frame: running.terminate())  # kill reaches this process only
    return running.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
