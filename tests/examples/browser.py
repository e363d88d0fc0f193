"""What a browser does with the chat, over sockets: asks, reads events, presses Stop, goes away."""

import json
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection

Event = tuple[str, object]


class Asked:
    """A question whose answer is on its way."""

    def __init__(self, port: int, question: str) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=240)
        body = json.dumps({"messages": [{"role": "user", "content": question}]})
        self._connection.request("POST", "/chat", body, {"content-type": "application/json"})
        self._response = self._connection.getresponse()

    def events(self) -> Iterator[Event]:
        """Those that have not been read yet, until the answer ends."""
        while name := self._response.readline():
            data = self._response.readline()
            assert self._response.readline() == b"\n"
            yield name.decode().removeprefix("event: ").strip(), json.loads(data.removeprefix(b"data: "))
        self.leave()

    def read(self, count: int) -> list[Event]:
        events = self.events()
        return [next(events) for _ in range(count)]

    def leave(self) -> None:
        """As when the tab is closed."""
        self._response.close()
        self._connection.close()


def press_stop(port: int, answer_id: object) -> int:
    """Gives the status."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=240)) as connection:
        connection.request("POST", f"/stop/{answer_id}")
        return connection.getresponse().status
