"""Loops as people meet them: which search finds each kind, and what looks like one and is none."""

from __future__ import annotations

import random
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamspan.core.loops.detector import Repetition, RepetitionDetector

# ruff: noqa: RUF001 - other scripts have other commas

CHANCE = random.Random(23)
WHO = (
    "The miller",
    "A ferryman",
    "Our baker",
    "The harbour master",
    "One of the twins",
    "Her uncle",
    "The night nurse",
)
DOES = ("counts", "hides", "paints", "borrows", "weighs", "polishes", "remembers", "sells")
WHAT = ("the oars", "a jar of nails", "three lanterns", "the spare key", "his ledger", "a wet umbrella", "the ladder")
WHEN = ("at dawn", "behind the church", "for a wager", "as his father did", "in plain sight", "while it snows")


def sentence() -> str:
    return f"{CHANCE.choice(WHO)} {CHANCE.choice(DOES)} {CHANCE.choice(WHAT)} {CHANCE.choice(WHEN)}."


def story(sentences: int) -> str:
    return "".join(sentence() + (" " if number % 5 else "\n\n") for number in range(1, sentences + 1))


LEAD = story(8)
PLEA = "Give me one moment, I want to look at the order of these steps again. "
SORRY = ("I got that wrong. ", "That was my mistake. ", "You are right about that. ", "This was not what you asked. ")
AGAIN = ("Here is another version.", "I will write it anew.", "Let us go through it again.", "Now with the fix.")
DAYS = [f"Day {day}: {{}}" for day in range(1, 200)]
CHAPTERS = [story(3) for _ in range(130)]
OTHER = "".join(
    f"{word.capitalize()} is a word of {len(word)} letters, and it stands in no story. "
    for word in (WHO + DOES + WHAT + WHEN)
)
PAGES = [story(28) for _ in range(7)]

DRIFTING = {
    "numbers in a sentence": "".join(
        f"With k = {k} the sum is {3 * k + 2}, which is too small for us. " for k in range(60)
    ),
    "numbers at its end": "".join(f"Nothing moves on the stage in frame {frame}. " for frame in range(200)),
    "list": "".join(
        f"{n}. Solar Panels (rooftop)\n{n + 1}. Heat Pumps\n{n + 2}. Window Insulation\n" for n in range(1, 90, 3)
    ),
    "list, Hindi": "".join(f"{n}. कृपया अपना पासवर्ड बदलें और फिर से लॉग इन करें।\n" for n in range(1, 40)),
    "list, Thai digits": "".join(
        f"{''.join(chr(0x0E50 + int(digit)) for digit in str(n))}. กรุณาเปลี่ยนรหัสผ่านแล้วเข้าสู่ระบบอีกครั้ง\n"
        for n in range(1, 60)
    ),
    "list, Chinese": "".join(f"{n}、请先修改您的密码然后再重新登录系统\n" for n in range(1, 60)),
    "Urdu": "".join(f"{n} براہ کرم اپنا پاس ورڈ تبدیل کریں اور دوبارہ لاگ ان کریں۔ " for n in range(1, 40)),
    "string of JSON": '{"note": "'
    + "".join(f"Try {n}: the door of the cellar is still locked from within.\\n" for n in range(60)),
    "row that counts": "| No | Fruit | Stock |\n|---|---|---|\n"
    + "".join(f"| {n} | Green apple | Enough | Shelf |\n" for n in range(1, 60)),
    "indented more and more": "".join(" " * 3 * n + "either left :: right <|> maybe other\n" for n in range(40)),
    "others every two copies": "".join(PLEA * 2 + sentence() + " " for _ in range(20)),
    "others every three copies": "".join(PLEA * 3 + sentence() + " " for _ in range(16)),
    "pairs in random order": "".join(CHANCE.choice(SORRY) + CHANCE.choice(AGAIN) + "\n\n" for _ in range(120)),
    "two in random order": "".join(
        CHANCE.choice((PLEA, "I should first ask what the user means by a step. ")) for _ in range(60)
    ),
    "cycle of many paragraphs": "".join(CHAPTERS) * 4,
    "cycle of long paragraphs": "".join(PAGES) * 6,
}
MEANT = {
    "drawn table": "┌──────────────┬──────────────────────────────┬──────────┐\n"
    + "├──────────────┼──────────────────────────────┼──────────┤\n".join(
        f"│ Part {n:<8} │ {sentence()[:28]:28} │ {CHANCE.choice(('yes', 'no')):8} │\n" for n in range(30)
    )
    + "└──────────────┴──────────────────────────────┴──────────┘\n",
    "double lines": "".join("╔" + "═" * 30 + "╗\n║ " + sentence()[:28].ljust(28) + " ║\n" for _ in range(30)),
    "reviews": "".join(
        f"{name}: it works as described, and nobody objects to it. {CHANCE.choice(AGAIN)}\n\n"
        for name in CHANCE.choices("abcdefghijklmnopqrstuvwxyz", k=0)
        or [f"{who[-5:]}{n}x{what[-4:]}" for n, (who, what) in enumerate((w, x) for w in WHO for x in WHAT)]
    ),
    "list": "".join(f"{n}. {sentence()}\n" for n in range(60)),
    "registers": "".join(f"    PORT_{n} = {n},\n" for n in range(64)),
    "records": "".join(f"{n},Green apple,Enough\n" for n in range(60)),
    "short list that counts": "".join(f"- Table number {n}\n" for n in range(1, 21)),
    "license three times": "\n\n".join(story(14) + LEAD for _ in range(3)),
    "story": story(300),
}


def found_in(text: str, *, drift: bool, size: int = 19) -> Repetition | None:
    detector = RepetitionDetector(drift=drift)
    pieces = (text[at : at + size] for at in range(0, len(text), size))
    return next(filter(None, map(detector.feed, pieces)), None) or detector.finish()


@pytest.mark.parametrize("name", DRIFTING)
def test_drift_finds_it_where_it_begins(name: str) -> None:
    """Loops that count, that shuffle, that are interrupted or longer than the window; to within a cycle."""
    found = found_in(LEAD + DRIFTING[name], drift=True)

    assert found is not None
    assert found.start >= len(LEAD) - 400
    assert found.start <= len(LEAD) + max(found.period, 400)


@pytest.mark.parametrize("name", MEANT)
@pytest.mark.parametrize("drift", [False, True])
def test_it_is_none(name: str, drift: bool) -> None:
    """Tables drawn with lines, one verdict for many things, lists, code and data that count."""
    assert found_in(MEANT[name], drift=drift) is None


def test_a_number_of_many_digits_is_a_text_like_any_other() -> None:
    """A line of 6,000 digits among lines that count does no harm."""
    lines = [f"The code of the door is {n} today\n" for n in range(30)]
    lines[3] = f"The code of the door is {'9' * 6_000} today\n"

    assert found_in("".join(lines), drift=True) is not None


def test_memory_is_bounded_whatever_the_cycle() -> None:
    """A cycle of 40,000 chars is followed without its text."""
    cycle = story(900)
    pieces = [(cycle * 5)[at : at + 40] for at in range(0, 5 * len(cycle), 40)]
    tracemalloc.start()
    detector = RepetitionDetector()
    for piece in pieces:
        detector.feed(piece)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert detector.repetition is not None
    assert detector.repetition.period > 25_000
    assert held < 40 * 1024


@pytest.mark.parametrize("unit", ["(b) ", "O O ", "ha "])
def test_stammer_with_blanks(unit: str) -> None:
    """A word again and again, with a blank too many or too few now and then."""
    chance = random.Random(unit)
    text = "".join(unit.strip() if chance.random() < 0.03 else unit for _ in range(500))
    found = found_in(LEAD + text, drift=False)

    assert found is not None
    assert found.start >= len(LEAD) - 20


@pytest.mark.parametrize("name", ["two in random order", "cycle of many paragraphs", "row that counts"])
def test_it_is_followed_to_its_end(name: str) -> None:
    """The loop goes on while its sentences or lines do, and the stream recovers when others follow."""
    detector = RepetitionDetector()
    text = LEAD + DRIFTING[name]
    detector.feed(text)
    looping, chars = detector.recovered, detector.repetition and detector.repetition.chars
    detector.feed(OTHER)

    assert (looping, detector.recovered) == (False, True)
    assert chars is not None
    assert chars > 0.8 * len(DRIFTING[name])


@settings(deadline=None, max_examples=40)
@given(st.sampled_from([*DRIFTING.values(), *MEANT.values()]), st.integers(1, 2_000) | st.just(100_000))
def test_any_cut_gives_the_same_finding(text: str, size: int) -> None:
    """Verdict, start, period and count do not depend on how the text was cut into deltas."""
    assert found_in(text, drift=True, size=size) == found_in(text, drift=True)
