"""From the body of a request to the messages of the GenAI conventions, for those who ask for content."""

from typing import Any

from streamspan.guard import contained
from streamspan.telemetry.content import Content


@contained
def capture_request(content: Content, options: Any) -> None:
    """Capture what the call with these options sends. Never raises."""
