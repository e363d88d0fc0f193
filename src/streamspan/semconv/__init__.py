"""Every name that streamspan writes into telemetry: `records` says how one is declared.

A name that a convention or the SDK already has keeps its name, type and meaning; everything of our own is under
`llm_stream.`. docs/schema.md is written from here.
"""

from typing import Final

from . import latest as latest
from .call import *
from .content import *
from .events import *
from .metrics import *
from .records import ATTRIBUTES as ATTRIBUTES
from .records import EVENTS as EVENTS
from .records import METRICS as METRICS
from .records import Metric as Metric
from .stream import *

SCOPE: Final = "streamspan"
TEST_SPAN: Final = "streamspan doctor"
"""The span that `streamspan doctor --send` sends. It is of no stream and has no attributes."""
SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.41.0"
