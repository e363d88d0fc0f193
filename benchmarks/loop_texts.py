"""Texts that loop, and texts that repeat on purpose, made by seeded generators.

The set is the same on every machine and no text is kept here. `loop_kinds.py` has loops as people meet them.
"""

from __future__ import annotations

import base64
import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

Family = Literal["exact", "degenerate", "drift", "rumination", "meant", "two copies"]
FAMILIES: tuple[Family, ...] = get_args(Family)


def phrases(text: str) -> list[str]:
    return text.split(", ")


WHO = phrases(
    "the parser, a customer, our gateway, this worker, the old index, every shard, my colleague, the "
    "scheduler, one replica, the auditor, a second reader, the cache, their mobile client, the "
    "nightly job, somebody in Lyon, the release manager"
)
DOES = phrases(
    "rejects, rewrites, forgets, copies, renames, postpones, measures, throws away, asks for, "
    "repairs, splits, merges, announces, ignores, signs, compresses"
)
WHAT = phrases(
    "the last page, two empty rows, an expired token, the whole invoice, a broken link, its own "
    "header, the summary, seven old branches, the wrong locale, a stale lock, every second event, the"
    " first attachment, an unknown field, the retry budget, half of the log, a draft"
)
WHEN = phrases(
    "before lunch, without a warning, as soon as the queue is full, because nobody asked, on the "
    "first of the month, in spite of the limit, after the third attempt, while the lights are off, "
    "for reasons of its own, whenever it rains, since the migration, although the tests pass, in "
    "front of everyone, until the disk is full, more often than not, to save a little time"
)
NAMES = phrases("Ada, Grace, Linus, Margaret, Edsger, Barbara, Tim, Radia, Ken, Frances, Dennis, Hedy")
ACCENTED = ["une e\u0301te\u0301 ", "a\u0300 peine ", "c\u0327a va ", "ou\u0300 "]
MARKS = [". ", "! ", " - ", "... ", "; "]


@dataclass(frozen=True, slots=True)
class Case:
    kind: str
    family: Family
    text: str
    start: int = 0
    period: float = 0
    reader: int = 0


# --- what the texts are made of ---


def sentence(chance: random.Random) -> str:
    words = f"{chance.choice(WHO)} {chance.choice(DOES)} {chance.choice(WHAT)} {chance.choice(WHEN)}."
    return words[0].upper() + words[1:]


def paragraph(chance: random.Random, sentences: int) -> str:
    return " ".join(sentence(chance) for _ in range(sentences))


def prose(chance: random.Random, chars: int) -> str:
    text = ""
    while len(text) < chars:
        text += paragraph(chance, chance.randint(2, 6)) + "\n\n"
    return text


def function(chance: random.Random) -> str:
    name, argument = chance.sample(["total", "price", "index", "owner", "route", "label", "shard", "token"], 2)
    return (
        f"def {name}_of_{argument}({argument}):\n    if not {argument}:\n        return None\n"
        f"    {name} = lookup({argument}, limit={chance.randint(2, 90)})\n"
        f"    return {name} or {argument}.{name}\n\n"
    )


def json_item(chance: random.Random) -> str:
    return json.dumps({"id": chance.randint(1, 999), "name": chance.choice(NAMES), "note": sentence(chance)}) + ",\n"


UNITS: dict[str, Callable[[random.Random], str]] = {
    "char": lambda chance: chance.choice("xa!0)=\n"),
    "word": lambda chance: chance.choice(["and", "the", "error", "compute", "return"]) + " ",
    "phrase": lambda chance: " ".join(sentence(chance).split()[-4:]) + " ",
    "sentence": lambda chance: sentence(chance) + " ",
    "three sentences": lambda chance: paragraph(chance, 3) + "\n",
    "paragraph": lambda chance: paragraph(chance, chance.randint(6, 12)) + "\n\n",
    "code line": lambda chance: function(chance).splitlines(keepends=True)[3],
    "code block": function,
    "JSON item": json_item,
    "closing tag": lambda chance: chance.choice(["</invoke>\n", "</div>", "</function_results>\n", "<br/>"]),
    "list item": lambda chance: f"- **{chance.choice(NAMES)}**: {sentence(chance)}\n",
    "table row": lambda chance: f"| {chance.choice(NAMES)} | {chance.randint(1, 400)} | {sentence(chance)} |\n",
    "emoji": lambda chance: "".join(chance.sample("🦜🌴🔥🧪✨😂", 2)) + " ",
    "ideographs": lambda chance: "".join(chance.sample("我会再检查一下配置文件然后继续修改代码", 14)) + "。",
    "accents": lambda chance: "".join(chance.sample(ACCENTED, 4)),
}


def reader_of(start: int, period: float, unit: str) -> int:
    says_nothing = not any(char.isalpha() or char > "\u2600" for char in unit)
    return start + round(max(3 * period, 400 if says_nothing else 150))


# --- loops ---


def exact_loop(kind: str, chance: random.Random) -> Case:
    unit = UNITS[kind](chance)
    lead = prose(chance, chance.choice([0, 100, 1_500, 14_000]))
    text = unit * chance.choice([-(-500 // len(unit)) + 1, 6, 12, 50, -(-4_000 // len(unit))])
    least = 900 if kind == "code line" else 460  # code may have a dozen equal lines
    while len(text) < max(least, 4 * len(unit)):
        text += unit
    if chance.random() < 0.2:
        escaped = json.dumps({"path": "notes.md", "content": lead + text}, ensure_ascii=False)
        head = len(json.dumps({"path": "notes.md", "content": lead}, ensure_ascii=False)) - 2
        unit = json.dumps(unit, ensure_ascii=False)[1:-1]
        return Case(f"{kind}, tool input", "exact", escaped, head, len(unit), reader_of(head, len(unit), unit))
    lead = lead.rstrip("\n") + "\n" * (len(unit) > 1)
    return Case(kind, "exact", lead + text, len(lead), len(unit), reader_of(len(lead), len(unit), unit))


def drifted(kind: str, unit: str, cycle: int, chance: random.Random) -> str:
    """One cycle of a loop that never says its unit in quite the same way."""
    match kind:
        case "counter":
            return f"Step {cycle + 1}: {unit}\n"
        case "case":
            return chance.choice([unit, unit, unit.lower(), unit.upper(), unit.swapcase()]) + "\n"
        case "punctuation":
            return "".join(chance.choice([".", *MARKS]) if char == "." else char for char in unit) + "\n"
        case "spacing":
            return "".join(chance.choice([" ", " ", " ", "\n", "  "]) if char == " " else char for char in unit) + "\n"
        case _:
            cut_short = cycle > 0 and chance.random() < 0.4
            return unit[: len(unit) * 2 // 3 if cut_short else None] + "\n\n"


DRIFTS = ["counter", "case", "punctuation", "spacing", "truncated"]


def drifting_loop(kind: str, chance: random.Random) -> Case:
    unit = paragraph(chance, chance.randint(2, 6))
    lead = prose(chance, chance.choice([0, 100, 1_500, 14_000]))
    cycles = chance.choice([8, 12, 20])
    text = "".join(drifted(kind, unit, cycle, chance) for cycle in range(cycles))
    period = len(text) / cycles
    return Case(kind, "drift", lead + text, len(lead), period, reader_of(len(lead), period, unit))


def stammer(chance: random.Random) -> Case:
    """A few signs again and again, and now and then others."""
    unit = chance.choice(["..\n", "c_f_", "\\c\n", "class_", "</i>", "S_T_"])
    lead = prose(chance, chance.choice([100, 1_500, 14_000]))
    text = unit * 6 + "".join(unit[: chance.randint(1, 3) if chance.random() < 0.04 else None] for _ in range(300))
    return Case("stammer", "degenerate", lead + text, len(lead), len(unit), reader_of(len(lead), len(unit), unit=""))


def degenerating_text(kind: str, chance: random.Random) -> Case:
    """What a chain of words or chars says when it always takes the likeliest next one."""
    tokens = list(prose(chance, 6_000)) if kind == "chars" else prose(chance, 6_000).split(" ")
    order = 5 if kind == "chars" else chance.choice([1, 2])
    following: defaultdict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    tokens += tokens[: order + 1]
    for at in range(len(tokens) - order):
        following[tuple(tokens[at : at + order])][tokens[at + order]] += 1
    begin = chance.randrange(len(tokens) - order)
    said = tokens[begin : begin + order]
    seen: dict[tuple[str, ...], int] = {}
    while (state := tuple(said[-order:])) not in seen:
        seen[state] = len(said)
        said.append(following[state].most_common(1)[0][0])
    cycle = said[seen[state] :]
    between = "" if kind == "chars" else " "
    lead = between.join(said[: seen[state]]) + between
    unit = between.join(cycle) + between
    text = lead + unit * (-(-1_200 // len(unit)) + 6)
    return Case(f"chain of {kind}", "degenerate", text, len(lead), len(unit), reader_of(len(lead), len(unit), unit))


# --- texts that repeat on purpose ---

# Every row is made from one of these, with fresh words and numbers.
ROWS = {
    "markdown table": "| {n} | {name} | {number} ms | ok |",
    "CSV": "{n},{name},{what},0,0,0,{digit}",
    "SQL": "INSERT INTO users (id, name, active, score) VALUES ({n}, '{name}', true, {digit});",
    "log": "2026-03-01T12:{n:02}:{number:03}Z INFO worker-{digit} heartbeat ok latency={number}ms",
    "YAML": "  - name: {name}-{n}\n    image: registry.local/app:{digit}\n    restart: always",
    "test code": "def test_parse_{n}() -> None:\n    assert parse('{what}') == {number}\n\n",
    "diff": "@@ -{n},7 +{n},7 @@\n     user = load()\n-    limit = {n}\n+    limit = {number}\n     return",
    "hex dump": "{n:07x}0: 0000 0000 00{number:02x} ffff 0000 0{number:03x} 0000 {number:04x}",
    "dotted leaders": "{what} {dots} {n}",
    "shared prefix": "- The command `deploy --all` {does} {what} {when}",
    "numbers": "0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.{number}, 1.0",
    "poem": "And {who} {does} {what},",
    "switch": "        case Status.{name}:\n            return translate(Status.{name}, {n})",
}


def rows(kind: str, chance: random.Random) -> str:
    return "".join(
        ROWS[kind].format(
            n=n,
            number=chance.randint(1, 250),
            digit=chance.randint(1, 9),
            name=chance.choice(NAMES),
            who=chance.choice(WHO),
            does=chance.choice(DOES),
            what=chance.choice(WHAT),
            when=chance.choice(WHEN),
            dots="." * chance.randint(20, 90),
        )
        + "\n"
        for n in range(chance.randint(20, 90))
    )


def json_array(chance: random.Random) -> str:
    items = [{"id": n, "name": chance.choice(NAMES), "tags": ["a", "b"], "parent": None} for n in range(60)]
    return json.dumps(items, indent=2)


def song(chance: random.Random) -> str:
    chorus = f"Oh, {chance.choice(WHO)} goes rolling home,\n" * chance.choice([2, 3]) + "And the night is long.\n\n"
    return "".join(f"{sentence(chance)}\n{sentence(chance)}\n\n{chorus}" for _ in range(8))


def licensed_files(chance: random.Random) -> str:
    header = "# Licensed under the terms of the project.\n# See the file LICENSE in the root folder.\n\n"
    return "".join(header + function(chance) for _ in range(12))


def ascii_art(chance: random.Random) -> str:
    lines = ["".join(chance.choice(" .#@") * chance.randint(1, 9) for _ in range(9)) for _ in range(30)]
    return "\n".join([*lines, "=" * 120, *lines[:7], "-" * 160])


def bitmap(chance: random.Random) -> str:
    data = chance.randbytes(600) + bytes(1_500) + chance.randbytes(300)
    return json.dumps({"type": "image", "data": "iVBORw0KGgo" + base64.b64encode(data).decode()})


def source(chance: random.Random) -> str:
    return "".join(function(chance) for _ in range(25))


MEANT: dict[str, Callable[[random.Random], str]] = {
    **{kind: partial(rows, kind) for kind in ROWS},
    "JSON array": json_array,
    "song": song,
    "license headers": licensed_files,
    "ASCII art": ascii_art,
    "base64": bitmap,
    "prose": partial(prose, chars=6_000),
    "source": source,
}


def quotation(chance: random.Random) -> Case:
    unit = chance.choice([UNITS["paragraph"], UNITS["code block"], UNITS["JSON item"], UNITS["sentence"]])(chance)
    return Case("quotation", "two copies", prose(chance, 400) + unit * 2 + prose(chance, 300))
