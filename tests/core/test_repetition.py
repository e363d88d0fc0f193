"""The loop detector: what it finds, what it leaves alone, and that deltas do not matter."""

from __future__ import annotations

import random
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamspan.core.loops.detector import Repetition, RepetitionDetector

LEAD = "The tests were green yesterday evening, and nobody has touched the parser since then.\n"
SENTENCE = "Let me check the configuration file once more before I change anything in it. "
OTHER = (
    "Then the reviewer asked for a changelog entry, which took another afternoon to agree upon. "
    "Nothing else in the release was held up by it, and the tag was pushed before supper. "
    "On Monday the first report came in: somebody with an old kernel saw the watcher stop after a rename.\n"
)
PARAGRAPH = (
    "I should look at the failing test first. It expects two rows and the query returns three, so the "
    "join must be wrong somewhere. Perhaps the fixture inserts the same user twice. I will read the "
    "fixture again and then run only this test with the verbose flag, to see which of the three rows is "
    "the odd one out.\n\n"
)
COUNTING = "".join(
    f"Attempt {n}: the build fails because the linker cannot find the library that we need.\n" for n in range(40)
)
TABLE = "".join(f"| {n} | worker-{n % 7} | {n * 37 % 1000} ms | ok |\n" for n in range(80))
JSON_ITEM = '    {"type": "paragraph", "style": "plain", "content": []},\n'
CHANCE = random.Random(3)
FRESH = " ".join("".join(CHANCE.choices("abcdefghijklmnop", k=6)) for _ in range(9_000))
METHOD = (
    "    def {}(self, request: Request, response: Response) -> Response:\n"
    "        self.check_the_rights_of(request, response)\n        return self.render(request, response)\n\n"
)
ROWS = "".join(
    f"E{n},worker,The parcel was delivered. It was signed for by a neighbour and paid for by card.\n" for n in range(40)
)
STAMMER = "".join(CHANCE.choices(["_S", "_SIZE"], [30, 1], k=400))
DRIFTS = {
    "counter": COUNTING,
    "case": (PARAGRAPH + PARAGRAPH.upper() + PARAGRAPH.lower()) * 3,
    "punctuation": (PARAGRAPH + PARAGRAPH.replace(".", " -") + PARAGRAPH.replace(".", "...")) * 3,
    "spacing": (PARAGRAPH + PARAGRAPH.replace(" ", "  ") + PARAGRAPH.replace(" ", "\n")) * 3,
    "truncated": (PARAGRAPH + PARAGRAPH + PARAGRAPH[:200] + "\n\n" + PARAGRAPH + PARAGRAPH[:220] + "\n\n") * 3,
}
LOOPS = {
    "words": LEAD + "and " * 200,
    "sentence": LEAD + SENTENCE * 12,
    "paragraph": LEAD + PARAGRAPH * 5,
    "closing tag": LEAD + "</invoke>\n" * 100,
    "code line": LEAD + "        total = total + self.price_of(item)\n" * 20,
    "JSON item": '{"items": [\n' + JSON_ITEM * 30,
    "astral": LEAD + "🦜🌴 " * 120,
    "combining": LEAD + "e\u0301te\u0301 " * 120,
    "ideographs": LEAD + "我会再检查一下配置文件。" * 40,
    "newlines": LEAD + "\n" * 900,
    "ids": LEAD + "70059152-1104-408e-903a-024251130003\n" * 19,
    "row of a table": LEAD + "| 7    | 0.0 | 0.0 | 0.0 | 0.0 |\n" * 50,
    "pattern": LEAD + "[a-f0-9]{2,8}-" * 70,
    "words in a line of code": LEAD + "and_" * 60,
    "closing tag, indented": LEAD + "  </function>\n" * 60,
}
MEANT = {
    "board": '<table class="game">\n' + "    <td class='field' title=''></td>\n" * 81 + "</table>\n",
    "empty cards": "<main>\n"
    + '  <section>\n    <header class="top"></header>\n    <p class="text"></p>\n  </section>\n' * 5
    + "</main>\n",
    "pauses": "delay:\n" + "\tnoop\n" * 60,
    "equal steps": "    state ^= state << 7;\n    state ^= state >> 9;\n" * 9,
    "equal records": '{"users": [\n' + '    {\n        "plan": "free",\n        "seats": 5\n    },\n' * 9 + "]}",
    "equal rows to insert": "INSERT INTO slots (owner, state) VALUES (NULL, 'open');\n" * 9,
    "recursion": "Error\n" + "    at walk (tree.js:12:9)\n    at visit (tree.js:31:5)\n" * 8 + "    at main.js:3:1\n",
    "upper-case base64": "data:," + "".join(CHANCE.choices("QWERTZUIOPASDFGHJKLYXCVBNM", k=90)) + "AA" * 900,
    "table": TABLE,
    "rule": LEAD + "-" * 200 + "\n" + OTHER,
    "refrain": "".join(line + "\n" + "Sing it again, my friend, sing it again\n" * 3 for line in OTHER.split(". ")),
    "row of nulls": "INSERT INTO t VALUES (" + "NULL, " * 40 + "NULL);\n",
    "zeros in base64": "data:image/bmp;base64,Qk1aYmPzAAAA2Mk9RUF" + "A" * 3000,
    "list of names": "names = [" + "'Classifier', " * 12 + "'License']\n" + OTHER,
    "declarations": "class Route:\n" + "".join(METHOD.format(name) for name in OTHER.split()[:9]),
    "wide table": f"| Name | {'Meaning':700} |\n|------|{'-' * 702}|\n| size | {SENTENCE:700} |\n",
    "two copies": PARAGRAPH * 2 + OTHER,
    "rows with sentences": ROWS,
    "report": "".join(
        f"SKIPPED [{n}] tests/test_{n * 7}.py: this provider makes no spans of its own\n" for n in range(30)
    ),
    "column of flags": "".join(CHANCE.choices(["0 ", "1 "], [30, 1], k=400)),
    "truths": "".join("|".join(CHANCE.choices("TF", k=12)) + "\n" for _ in range(60)),
    "rule with marks": "".join("-" * CHANCE.randint(9, 30) + "+" for _ in range(120)),
    "bytes": "".join(CHANCE.choices(["Ak", "AC"], [30, 1], k=400)),
    "nulls by line": "static void *table[] = {\n" + "        NULL,\n" * 24 + "};\n",
}


def found_in_one(text: str, *, drift: bool = True) -> Repetition | None:
    detector = RepetitionDetector(drift=drift)
    return detector.feed(text) or detector.finish()


def found_in_pieces(text: str, sizes: list[int]) -> Repetition | None:
    detector = RepetitionDetector()
    at = turn = 0
    found = None
    while at < len(text) and found is None:
        size = sizes[turn % len(sizes)]
        found = detector.feed(text[at : at + size])
        at += size
        turn += 1
    return found or detector.finish()


def found_when_collected(text: str) -> list[tuple[int, Repetition]]:
    detector = RepetitionDetector()
    found: list[tuple[int, Repetition]] = []
    fed = 0
    for chars in range(1, len(text) + 1):
        if chars >= detector.next_look:
            if finding := detector.feed(text[fed:chars]):
                found.append((chars, finding))
            fed = chars
    return found


def watched(text: str) -> RepetitionDetector:
    detector = RepetitionDetector()
    for at in range(0, len(text), 7):
        detector.feed(text[at : at + 7])
    return detector


@pytest.mark.parametrize("name", LOOPS)
def test_loop_is_found_where_it_begins(name: str) -> None:
    """A loop of words, sentences, code, data or signs is found, from its first cycle on."""
    text = LOOPS[name]
    lead = len(LEAD) if text.startswith(LEAD) else len('{"items": [')

    found = found_in_one(text)

    assert found is not None
    assert (found.kind, abs(found.start - lead) <= found.period) == ("exact", True)


@pytest.mark.parametrize("name", MEANT)
def test_meant_repetition_is_left_alone(name: str) -> None:
    """Tables, rules, refrains, data and quotations are not loops."""
    assert found_in_one(MEANT[name]) is None


def test_finding_says_what_repeats_and_since_when() -> None:
    """Start, period, count and chars are those of the run, at the moment it became a loop."""
    found = found_in_one(LEAD + SENTENCE * 12)

    assert found == Repetition(
        start=len(LEAD), period=len(SENTENCE), count=3, chars=3 * len(SENTENCE) + 12, kind="exact"
    )


def test_finding_is_made_at_its_char() -> None:
    """Fed char by char, the loop is found at the very char that makes it one."""
    detector = RepetitionDetector()
    text = LEAD + SENTENCE * 12

    fed = next(chars for chars, char in enumerate(text, start=1) if detector.feed(char))

    assert fed == len(LEAD) + 3 * len(SENTENCE) + 12


def test_offsets_are_code_points() -> None:
    """An astral char and a combining mark count as one char each."""
    found = found_in_one("🦜e\u0301" + "🌴🦜e\u0301 " * 60)

    assert found is not None
    assert (found.start, found.period) == (3, 5)


def test_finding_is_returned_once() -> None:
    """Only the delta that makes the loop returns it."""
    detector = RepetitionDetector()

    findings = [detector.feed(char) for char in LEAD + SENTENCE * 30]

    assert [finding is not None for finding in findings].count(True) == 1
    assert detector.finish() is None


def test_period_is_the_shortest() -> None:
    """A unit that is itself two copies is reported as the one copy."""
    found = found_in_one((SENTENCE + SENTENCE) * 8)

    assert found is not None
    assert found.period == len(SENTENCE)


@given(st.permutations(OTHER.split()).map(" ".join), st.text(max_size=300))
def test_two_copies_are_never_a_loop(unit: str, lead: str) -> None:
    """Whatever is said twice, and only twice, is a quotation."""
    assert found_in_one(lead + unit + unit + SENTENCE) is None


@given(
    text=st.sampled_from([*LOOPS.values(), *MEANT.values(), COUNTING, STAMMER]),
    sizes=st.lists(st.integers(min_value=0, max_value=400), min_size=1, max_size=12).filter(any),
)
def test_any_cut_gives_the_same_finding(text: str, sizes: list[int]) -> None:
    """Verdict, start, period and count do not depend on how the text was cut into deltas."""
    assert found_in_pieces(text, sizes) == found_in_one(text)


@given(st.text(alphabet="ab \n", max_size=3_000), st.lists(st.integers(1, 300), min_size=1, max_size=5))
def test_any_cut_of_any_text_gives_the_same_finding(text: str, sizes: list[int]) -> None:
    """The same for texts that are full of short runs."""
    assert found_in_pieces(text, sizes) == found_in_one(text)


@pytest.mark.parametrize("text", [LOOPS["sentence"], LOOPS["words"], COUNTING, FRESH + PARAGRAPH * 5])
def test_deltas_may_be_collected_until_the_next_look(text: str) -> None:
    """Fed only when the channel is as long as `next_look`, the finding is made at the same char."""
    at_once = RepetitionDetector()
    found = [(chars, finding) for chars, char in enumerate(text, start=1) if (finding := at_once.feed(char))]

    assert found == found_when_collected(text)


def test_long_stream_cut_char_by_char_gives_the_same_finding() -> None:
    """The window moves on without a trace: a late loop is found alike in one delta and in many."""
    text = FRESH + SENTENCE * 8

    assert found_in_pieces(text, [1]) == found_in_one(text)
    assert found_in_one(text) == Repetition(len(FRESH), len(SENTENCE), 3, 3 * len(SENTENCE) + 12, "exact")


@pytest.mark.parametrize("name", DRIFTS)
def test_loop_that_changes_is_a_drift(name: str) -> None:
    """Cycles that differ in a number, in case, punctuation or blanks, or in their end, are found as drift."""
    found = found_in_one(LEAD + DRIFTS[name])

    assert found is not None
    assert (found.kind, abs(found.start - len(LEAD)) < found.period) == ("drift", True)


@pytest.mark.parametrize("drift", [False, True])
def test_stammer_is_a_loop(drift: bool) -> None:
    """A few signs that come back and back with glitches are a loop, found without delay and from about their first."""
    detector = RepetitionDetector(drift=drift)
    text = LEAD + STAMMER

    fed, found = next((fed, found) for fed, char in enumerate(text, start=1) if (found := detector.feed(char)))

    assert (found.kind, found.period, abs(found.start - len(LEAD)) < 100) == ("exact", 4, True)
    assert fed - len(LEAD) < 2 * 320


def test_stammer_may_begin_with_glitches() -> None:
    """The start is that of the stammer, and not that of its first stretch without glitches."""
    found = found_in_one(LEAD + "_S_SIZE_S" * 3 + STAMMER)

    assert found is not None
    assert abs(found.start - len(LEAD)) < 30


def test_stammer_does_not_begin_before_it() -> None:
    """Where a stammer begins at once, its start is told to about ten chars."""
    before = OTHER[:277]
    found = found_in_one(before + "_S" * 16 + STAMMER)

    assert found is not None
    assert abs(found.start - len(before)) < 12


def test_stammer_is_followed_to_its_end() -> None:
    """The stream recovers from a stammer when other text follows."""
    assert not watched(LEAD + STAMMER).recovered
    assert watched(LEAD + STAMMER + OTHER * 2).recovered


def test_loop_begins_before_a_glitch() -> None:
    """Two sentences, a few other words and the sentence again and again: the loop began with the first."""
    found = found_in_one(LEAD + SENTENCE * 2 + "Well, no. " + SENTENCE * 9)

    assert found is not None
    assert (found.start, found.period) == (len(LEAD), len(SENTENCE))


@pytest.mark.parametrize(
    ("first", "between"),
    [
        (PARAGRAPH[:250], "\n\n"),
        ((PARAGRAPH[:165] + "\n\n") * 2, ""),
        (PARAGRAPH, OTHER[:250]),
        (PARAGRAPH.upper() + PARAGRAPH, PARAGRAPH.lower()),
        (PARAGRAPH.replace("verbose", "quiet"), PARAGRAPH.replace("twice", "again")),
        ("", ""),
    ],
    ids=["cut off", "cut off early", "one cycle apart", "other case", "other words", "none"],
)
def test_first_cycle_may_stand_alone(first: str, between: str) -> None:
    """The loop began with cycles that were cut off or in other words, or that other text as long as a cycle follows."""
    found = found_in_one(LEAD + first + between + PARAGRAPH * 4, drift=False)

    assert found is not None
    assert (found.start, found.period) == (len(LEAD.rstrip()), len(PARAGRAPH))


def test_first_cycle_may_have_another_order() -> None:
    """Two sentences that alternate at last have looped since they first came, in whatever order."""
    one, two = SENTENCE, OTHER[:92]
    found = found_in_one(LEAD + two * 2 + one * 2 + (one + two) * 5, drift=False)

    assert found is not None
    assert (found.start, found.period) == (len(LEAD), len(one + two))


def test_phrase_is_no_cycle() -> None:
    """A few words of the unit come in the text before the loop as well."""
    before = LEAD + "Whoever can should check the configuration file once a day. " + OTHER[:92]
    found = found_in_one(before + SENTENCE * 8, drift=False)

    assert found is not None
    assert found.start == len(before)


@pytest.mark.parametrize("before", [PARAGRAPH + OTHER * 3, PARAGRAPH[:120] + OTHER], ids=["far away", "a few words"])
def test_what_was_said_before_is_no_cycle(before: str) -> None:
    """The loop has not begun where its words were said long before it, or only the first of them."""
    found = found_in_one(before + PARAGRAPH * 4, drift=False)

    assert found is not None
    assert found.start == len(before.rstrip())


def test_words_after_base64_are_no_base64() -> None:
    """A loop of words may follow binary data; only zeros and the like belong to it."""
    data = "data:text/plain;base64,Q29udGVudC1UeXBlOiB0ZXh0L3BsYWluCg== "
    found = found_in_one(data + "no-" * 200)

    assert found is not None
    assert (found.start, found.period) == (len(data), 3)


def test_near_repeats_do_not_hide_a_loop() -> None:
    """Paragraphs that differ in a number only are a long unit, when all of them come again in the same order."""
    unit = "".join(f"{PARAGRAPH.strip()} {OTHER.strip()} So much for part {part}.\n" for part in range(15))
    found = found_in_one(FRESH[:700] + unit * 5, drift=False)

    assert found is not None
    assert (found.kind, found.period) == ("exact", len(unit))


def test_unit_may_repeat_itself() -> None:
    """A sentence that comes twice in every cycle does not hide a drift, nor its period."""
    unit = OTHER[:86] + SENTENCE + OTHER[87:173] + SENTENCE
    found = found_in_one(LEAD + (unit + unit.upper()) * 4)

    assert found is not None
    assert (found.kind, found.count, abs(found.period - len(unit)) <= 2) == ("drift", 3, True)


def test_drift_has_the_period_of_the_text() -> None:
    """The period of a drifting loop is counted in the text, not in its letters."""
    found = found_in_one(LEAD + COUNTING)

    assert found is not None
    assert (found.period, found.count) == (84, 8)


def test_drift_begins_at_its_char() -> None:
    """A table in front of the loop has few letters; they do not move its start, nor stretch its period."""
    found = found_in_one(LEAD + "| 0.00 | 12.5 |\n" * 12 + COUNTING)

    assert found is not None
    assert (found.start, found.period) == (len(LEAD) + 12 * 16, 84)


@pytest.mark.parametrize("seed", [36, 56, 161])
def test_drift_begins_with_its_first_cycle(seed: int) -> None:
    """Wherever its words change, the loop is followed back to its first cycle."""
    chance = random.Random(seed)
    words = (PARAGRAPH * 16).split(" ")
    found = found_in_one(LEAD + " ".join("really" if chance.random() < 0.05 else word for word in words))

    assert found is not None
    assert (found.kind, abs(found.start - len(LEAD)) < found.period) == ("drift", True)


def test_drift_can_be_off() -> None:
    """Without drift a loop that counts is not looked for."""
    assert found_in_one(LEAD + COUNTING, drift=False) is None


def test_count_goes_on_after_the_finding() -> None:
    """At the end of the stream the repetition has the count and the chars of the whole loop."""
    detector = watched(LEAD + SENTENCE * 50)

    assert detector.repetition == Repetition(len(LEAD), len(SENTENCE), 50, 50 * len(SENTENCE), "exact")
    assert not detector.recovered


def test_text_that_leaves_the_loop_has_recovered() -> None:
    """The loop ends where other text begins, to the char, and the stream has recovered."""
    detector = watched(LEAD + SENTENCE * 9 + OTHER)

    assert detector.repetition == Repetition(len(LEAD), len(SENTENCE), 9, 9 * len(SENTENCE), "exact")
    assert detector.recovered


def test_last_words_are_no_recovery() -> None:
    """A few chars after the loop are not yet other text."""
    assert not watched(LEAD + SENTENCE * 9 + "Done.").recovered


def test_glitch_is_no_recovery() -> None:
    """A loop that stumbles and goes on has not ended."""
    detector = watched(LEAD + SENTENCE * 9 + "Hmm. " + SENTENCE * 9)

    assert detector.repetition is not None
    assert detector.repetition.chars == 18 * len(SENTENCE) + len("Hmm. ")
    assert not detector.recovered


def test_drift_is_followed_to_its_end() -> None:
    """A drifting loop is counted on after the finding, and left when other text follows."""
    detector = watched(LEAD + COUNTING + OTHER * 2)

    assert detector.repetition is not None
    assert detector.repetition.count in range(38, 43)
    assert detector.recovered


def test_no_loop_has_nothing_to_report() -> None:
    """Without a loop there is no repetition, and nothing to recover from."""
    detector = watched(OTHER * 1)

    assert (detector.finish(), detector.repetition, detector.recovered) == (None, None, False)


def test_finish_finds_what_the_last_step_missed() -> None:
    """A loop that becomes one between the last step and the end is found by finish."""
    detector = RepetitionDetector()
    fed = detector.feed("no " * 52)

    assert fed is None
    assert detector.finish() == Repetition(0, 3, 52, 156, "exact")


@pytest.mark.parametrize("text", [PARAGRAPH * 3, (PARAGRAPH * 3).rstrip(), (SENTENCE * 3).rstrip()])
def test_three_whole_copies_of_prose_end_a_text(text: str) -> None:
    """At the end of a text no fourth copy need have begun."""
    found = found_in_one(LEAD + text)

    assert found is not None
    assert (found.kind, found.count, found.start - len(LEAD) in {-1, 0}) == ("exact", 3, True)


def test_three_copies_before_other_text_are_a_refrain() -> None:
    """Where the text goes on after the third copy there is no loop."""
    assert found_in_one(LEAD + SENTENCE * 3 + OTHER) is None


def test_finish_of_a_short_text_is_silent() -> None:
    """A text too short for any loop has none."""
    assert RepetitionDetector().finish() is None


def test_empty_deltas_change_nothing() -> None:
    """A delta without text is not a delta."""
    assert found_in_pieces(LEAD + SENTENCE * 9, [0, 5, 0, 0, 11]) == found_in_one(LEAD + SENTENCE * 9)


def test_delta_of_a_megabyte() -> None:
    """One delta may be as long as it likes."""
    found = found_in_one(LEAD + SENTENCE * 13_000)

    assert found == Repetition(len(LEAD), len(SENTENCE), 3, 3 * len(SENTENCE) + 12, "exact")


def test_lone_surrogates_are_text() -> None:
    """Text that cannot be encoded does no harm."""
    assert found_in_one("\ud83d broken " * 4 + LEAD + "\ud83d") is None


@pytest.mark.parametrize(
    "text",
    [FRESH * 3, SENTENCE * 4_000, COUNTING * 100, "12 " * 100_000, STAMMER * 100],
    ids=["fresh", "loop", "drift", "no words", "stammer"],
)
def test_memory_is_bounded(text: str) -> None:
    """A long stream leaves less than 32 KiB behind, whether it loops or not."""
    pieces = [text[at : at + 9] for at in range(0, len(text), 9)]
    tracemalloc.start()
    detector = RepetitionDetector()
    for piece in pieces:
        detector.feed(piece)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert detector.finish() is None
    assert held < 32 * 1024
