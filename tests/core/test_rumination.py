"""Rumination: text that goes on without saying anything new, and is no loop."""

import random
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamspan.core.blocks import LoopSearch, RuminationSearchIn
from streamspan.core.loops.rumination import SHARE, Circling, RuminationSearch
from streamspan.core.model import BlockStart, DeltaKind, Loop, Rumination
from streamspan.core.stream import StreamState

# ruff: noqa: RUF001 - Chinese has full-width commas

CHANCE = random.Random(11)
THOUGHTS = (
    "the date in the second column comes from the export",
    "the export was made before the clocks went back",
    "an hour is missing in the sum of that night",
    "the sum of that night is right if we count in UTC",
    "counting in UTC was what the first version did",
    "the first version is no longer in the repository",
    "somebody must have changed the column by hand",
    "nobody but the owner can change the column by hand",
)
TURNS = ("Wait, ", "But then ", "So ", "Hmm, maybe ", "On the other hand, ", "Unless ", "Right: ", "And yet ")
CHINESE_THOUGHTS = (
    "第二列的日期来自上周的导出文件",
    "导出文件是在调整时钟之前生成的",
    "那天晚上的总和少了一个小时",
    "按照世界时间计算总和就是对的",
    "第一个版本确实是这样计算的",
)
CHINESE_TURNS = ("等一下，", "不过，", "所以", "也许", "另一方面，")
WORDS = [
    "river",
    "lamp",
    "copper",
    "valley",
    "teacher",
    "window",
    "salt",
    "forest",
    "engine",
    "ladder",
    "paper",
    "garden",
]


def thoughts(count: int, turns: tuple[str, ...] = TURNS, said: tuple[str, ...] = THOUGHTS, end: str = ". ") -> str:
    """In no order, each with one of the turns, some of them two in a sentence."""
    sentences: list[str] = []
    for _ in range(count):
        first, second = CHANCE.sample(said, 2)
        joint = CHANCE.choice((", and ", ", because ", ", so ")) if end == ". " else "，"
        sentences.append(CHANCE.choice(turns) + (first + joint + second if CHANCE.random() < 0.5 else first) + end)
    return "".join(sentences)


def fresh(count: int) -> str:
    """Sentences of random words."""
    return "".join(" ".join(CHANCE.choices(WORDS, k=9)).capitalize() + ". " for _ in range(count))


RUMINATING = fresh(30) + thoughts(160)
RUMINATING_IN_CHINESE = thoughts(300, CHINESE_TURNS, CHINESE_THOUGHTS, "。")
STEPS = "".join(
    f"{number}. Open the {{}} panel and set {{}} to {{}}, then ask the {{}} for its {{}}, and note {{}} {{}}.\n".format(
        *CHANCE.choices(WORDS, k=7)
    )
    for number in range(1, 40)
)
ROWS = "".join(f"| {CHANCE.choice(WORDS)} | the same words in every row of it. | ok |\n" for _ in range(200))
CODE = "".join(f"    if row.{name} is None:\n        return None. \n" for name in CHANCE.choices(WORDS, k=300))


def seen(text: str, size: int = 15) -> Circling | None:
    search = RuminationSearch()
    pieces = (text[at : at + size] for at in range(0, len(text), size))
    return next((found for at, piece in enumerate(pieces) if (found := search.feed(piece, float(at)))), None)


@pytest.mark.parametrize(
    "text", [RUMINATING, RUMINATING_IN_CHINESE, RUMINATING.upper()], ids=["en", "zh", "upper case"]
)
def test_text_that_says_nothing_new_is_seen(text: str) -> None:
    """Known words in another order, in a script with blanks and in one without."""
    found = seen(text)

    assert found is not None
    assert found.share >= SHARE


@pytest.mark.parametrize("text", [fresh(400), STEPS, ROWS, CODE, ""], ids=["fresh", "steps", "rows", "code", "none"])
def test_other_text_is_not(text: str) -> None:
    """Fresh text, steps from one template, rows and code."""
    assert seen(text) is None


def test_what_is_told_of_it() -> None:
    """It starts after the text that was fresh, with its time, and is told once 400 words of it have come."""
    lead = len(RUMINATING) - len(RUMINATING.partition(THOUGHTS[0])[2])
    found = seen(RUMINATING)

    assert found is not None
    assert found.start >= lead - 640
    assert abs(found.at - found.start / 15) <= 1
    assert found.chars in {1_920, 2_560, 3_200}


@settings(deadline=None)
@given(st.sampled_from([RUMINATING, RUMINATING_IN_CHINESE]), st.integers(1, 3_000))
def test_any_cut_sees_the_same(text: str, size: int) -> None:
    """Whatever the deltas, the same chars and the same share."""
    found, in_small_deltas = seen(text, size), seen(text)

    assert found is not None
    assert in_small_deltas is not None
    assert (found.start, found.chars, found.share) == (
        in_small_deltas.start,
        in_small_deltas.chars,
        in_small_deltas.share,
    )


def test_its_memory_is_bounded() -> None:
    """Less than 24 KiB, whatever the length."""
    text = (fresh(300) + RUMINATING_IN_CHINESE + "x" * 50_000 + "\ud83d") * 3
    tracemalloc.start()
    search = RuminationSearch()
    for at in range(0, len(text), 9):
        search.feed(text[at : at + 9], 0.0)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert held < 24 * 1024


# --- in a stream ---------------------------------------------------------------------------------------------------


def told(kind: DeltaKind, text: str, rumination: RuminationSearchIn, loops: LoopSearch = "exact") -> list[object]:
    state = StreamState(0.0, loops=loops, rumination=rumination)
    state.block_started(BlockStart(0, "a type", "thinking" if kind == "thinking" else "text"), 1.0)
    facts = [fact for at in range(0, len(text), 200) for fact in state.delta(kind, 0, text[at : at + 200], 1.0 + at)]
    return [fact for fact in facts if isinstance(fact, Loop | Rumination)]


@pytest.mark.parametrize(
    ("kind", "rumination", "loops", "count"),
    [
        ("thinking", "thinking", "exact", 1),
        ("text", "thinking", "exact", 0),
        ("text", "all", "exact", 1),
        ("thinking", "off", "exact", 0),
        ("thinking", "thinking", "off", 0),
    ],
)
def test_where_it_is_looked_for(kind: DeltaKind, rumination: RuminationSearchIn, loops: LoopSearch, count: int) -> None:
    """In the thinking alone, in the text as well, or nowhere; and only where loops are looked for."""
    assert [type(fact) for fact in told(kind, RUMINATING, rumination, loops)] == [Rumination] * count


def test_a_loop_is_no_rumination() -> None:
    """Where a loop was found nothing more is told, though it says nothing new either."""
    assert [type(fact) for fact in told("thinking", (THOUGHTS[0] + ". ") * 200, "thinking")] == [Loop]
