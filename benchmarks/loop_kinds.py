"""Loops as people meet them, and what looks like one: a generator for each kind.

No generator shares its wording with a rule of the detector. Some kinds are found by no setting; they are here all the
same, because users meet them.
"""

from __future__ import annotations

import base64
import random
import uuid
from collections.abc import Callable

from loop_texts import DOES, NAMES, WHAT, WHEN, WHO, Case, Family, paragraph, prose, reader_of, sentence

Make = Callable[[random.Random], tuple[str, float]]
"""A loop without a lead-in, and its period in chars."""
HINDI = ("दुकान आज शाम तक खुली रहेगी।", "रेलगाड़ी अब तक स्टेशन पर नहीं आई।", "बच्चे नदी के किनारे खेल रहे हैं।")
THAI = ("ร้านนี้เปิดถึงเย็นวันนี้", "รถไฟยังไม่มาถึงสถานี", "เด็กๆกำลังเล่นอยู่ริมแม่น้ำ")
CHINESE = ("这家商店今天一直营业到傍晚", "火车到现在还没有进站", "孩子们正在河边的草地上玩耍")
ARABIC = ("هل وصل القطار الى المحطة هذا المساء؟", "هل فتح المتجر ابوابه قبل الغروب؟")


def joined(parts: list[str], cycles: float) -> tuple[str, float]:
    text = "".join(parts)
    return text, len(text) / cycles


def numbered(lines: tuple[str, ...], zero: str, mark: str) -> Make:
    def make(chance: random.Random) -> tuple[str, float]:
        line = chance.choice(lines)
        numbers = ("".join(chr(ord(zero) + int(digit)) for digit in str(n)) for n in range(1, 50))
        return joined([f"{number}{mark}{line}\n" for number in numbers], 49)

    return make


def ids(chance: random.Random) -> tuple[str, float]:
    unit = str(uuid.UUID(int=chance.getrandbits(128))) + "\n"
    return unit * chance.randint(22, 40), len(unit)


def pattern(chance: random.Random) -> tuple[str, float]:
    unit = chance.choice(["[0-7]{3}/", "[A-F0-9]{2}-", "\\d{1,3}[.]", "(?:[a-e]|f)+"])
    return unit * 120, len(unit)


def row_of_values(chance: random.Random) -> tuple[str, float]:
    unit = f"| {chance.randint(1, 9)}   | " + "0.0 | " * chance.randint(4, 7) + "\n"
    return unit * 64, len(unit)


def near_repeats(chance: random.Random) -> tuple[str, float]:
    said = paragraph(chance, 7)
    unit = "".join(f"{said} So much for number {n}.\n\n" for n in range(12))
    return unit * 5, len(unit)


def three_copies(chance: random.Random) -> tuple[str, float]:
    unit = paragraph(chance, chance.randint(3, 9)) + "\n\n"
    return (unit * 3).rstrip(), len(unit)


def after_base64(chance: random.Random) -> tuple[str, float]:
    data = base64.b64encode(chance.randbytes(90)).decode()
    unit = sentence(chance) + " "
    return data + "\n" + unit * 9, len(unit)


def stammer_with_blanks(chance: random.Random) -> tuple[str, float]:
    unit = chance.choice(["(c) ", "A ", "oh ", "[x] "])
    text = "".join(unit.strip() if chance.random() < 0.03 else unit for _ in range(400))
    return text, len(unit)


def counting_rows(chance: random.Random) -> tuple[str, float]:
    cells = f"{chance.choice(NAMES)} Office | {chance.choice(['Open all day', 'On request', 'By appointment'])}"
    return joined([f"| {n} | {cells} |\n" for n in range(1, 50)], 49)


def moved_right(chance: random.Random) -> tuple[str, float]:
    unit = f"{chance.choice(WHAT)} <- {chance.choice(WHAT)} ;"
    return joined([" " * 2 * n + unit + "\n" for n in range(40)], 40)


def escaped_counter(chance: random.Random) -> tuple[str, float]:
    said = sentence(chance)
    return joined(['{"log": "', *(f"Round {n}: {said}\\n" for n in range(40))], 40)


def sums(chance: random.Random) -> tuple[str, float]:
    a, b = chance.randint(2, 9), chance.randint(2, 40)
    return joined([f"For m = {m} it comes to {a * m + b}, and that is not what we want. " for m in range(60)], 60)


def ends_in_number(chance: random.Random) -> tuple[str, float]:
    said = sentence(chance)[:-1]
    return joined([f"{said} in round {n}. " for n in range(60)], 60)


def list_of_three(chance: random.Random) -> tuple[str, float]:
    entries = [entry.title() for entry in chance.sample(WHAT, 3)]
    return joined([f"{n}. {entries[n % 3]}\n" for n in range(90)], 30)


def time_stamps(chance: random.Random) -> tuple[str, float]:
    said = sentence(chance)
    return joined([f"[2026-05-04 09:{n // 60:02}:{n % 60:02}] {said}\n" for n in range(90)], 90)


def growing(chance: random.Random) -> tuple[str, float]:
    words = paragraph(chance, 4).split()
    return joined([" ".join(words[: 6 + n]) + "\n" for n in range(len(words) - 6)], len(words) - 6)


def interrupted(copies: int) -> Make:
    def make(chance: random.Random) -> tuple[str, float]:
        said = sentence(chance) + " "
        return "".join(said * copies + sentence(chance) + " " for _ in range(18)), len(said)

    return make


def shuffled(chance: random.Random) -> tuple[str, float]:
    first, second = [[sentence(chance) for _ in range(5)] for _ in range(2)]
    return joined([f"{chance.choice(first)} {chance.choice(second)}\n\n" for _ in range(120)], 120)


def two_at_random(chance: random.Random) -> tuple[str, float]:
    said = [sentence(chance) for _ in range(2)]
    return joined([chance.choice(said) + " " for _ in range(60)], 60)


def long_cycle(chance: random.Random) -> tuple[str, float]:
    unit = "".join(paragraph(chance, 2) + "\n\n" for _ in range(chance.randint(90, 114)))
    return unit * 4, len(unit)


LOOPS: dict[str, tuple[Family, Make]] = {
    "ids": ("exact", ids),
    "pattern": ("exact", pattern),
    "row of values": ("exact", row_of_values),
    "unit with near repeats": ("exact", near_repeats),
    "three copies at the end": ("exact", three_copies),
    "sentence after base64": ("exact", after_base64),
    "stammer with blanks": ("degenerate", stammer_with_blanks),
    "numbered, Hindi": ("drift", numbered(HINDI, "0", ". ")),
    "numbered, Devanagari digits": ("drift", numbered(HINDI, "\u0966", ". ")),
    "numbered, Thai": ("drift", numbered(THAI, "\u0e50", ". ")),
    "numbered, Chinese": ("drift", numbered(CHINESE, "0", "、")),
    "numbered, Arabic": ("drift", numbered(ARABIC, "\u0660", ") ")),
    "rows that count": ("drift", counting_rows),
    "indented more and more": ("drift", moved_right),
    "counter within JSON": ("drift", escaped_counter),
    "sums": ("drift", sums),
    "number at the end": ("drift", ends_in_number),
    "list of three": ("drift", list_of_three),
    "time stamps": ("drift", time_stamps),
    "growing sentence": ("drift", growing),
    "others every two": ("drift", interrupted(2)),
    "others every three": ("drift", interrupted(3)),
    "pairs in random order": ("drift", shuffled),
    "two in random order": ("drift", two_at_random),
    "cycle beyond the window": ("drift", long_cycle),
}


def loop_of_kind(kind: str, chance: random.Random) -> Case:
    family, make = LOOPS[kind]
    text, period = make(chance)
    lead = prose(chance, chance.choice([100, 1_500, 6_000])).rstrip("\n") + "\n"
    return Case(kind, family, lead + text, len(lead), period, reader_of(len(lead), period, text))


# --- rumination ---


def thought(chance: random.Random, said: list[str]) -> str:
    """Two of the thoughts, with another turn or another joint each time."""
    turn = chance.choice(["Well, ", "All the same, ", "Then again, ", "Granted, ", ""])
    joint = chance.choice([", while ", ", but ", ", if ", " and "])
    first, second = chance.sample(said, 2)
    return (turn + first + joint + second).capitalize() + ". "


def rumination(chance: random.Random) -> Case:
    said = [sentence(chance)[:-1].lower() for _ in range(chance.randint(9, 14))]
    lead = prose(chance, chance.choice([100, 1_500, 6_000]))
    text = "".join(thought(chance, said) for _ in range(160))
    # Not before everything has been said once; there is no cycle to count.
    return Case("thoughts", "rumination", lead + text, len(lead), 0, len(lead) + 4_000)


# --- what looks like a loop ---


def board(chance: random.Random) -> str:
    tag, name = chance.choice(["td", "span", "button"]), chance.choice(["field", "pixel", "seat"])
    return "<main>\n" + f'  <{tag} class="{name}" aria-label=""></{tag}>\n' * chance.choice([36, 64, 81]) + "</main>\n"


def cards(chance: random.Random) -> str:
    inner = '  <article>\n    <header></header>\n    <p class="text"></p>\n  </article>\n'
    return '<main class="grid">\n' + inner * chance.randint(4, 6) + "</main>\n"


def pauses(chance: random.Random) -> str:
    return "wait:\n" + chance.choice(["\tnoop\n", "    pause\n", "        .byte 0x90\n"]) * chance.randint(16, 60)


def unrolled(chance: random.Random) -> str:
    name = chance.choice(["state", "sum", "crc"])
    return f"    {name} = mix({name}, *next++);\n" * chance.choice([8, 12, 16])


def equal_records(chance: random.Random) -> str:
    inner = f'  {{\n    "plan": "{chance.choice(NAMES).lower()}",\n    "seats": {chance.randint(2, 90)}\n  }},\n'
    return "[\n" + inner * chance.randint(4, 9) + "]\n"


def equal_inserts(chance: random.Random) -> str:
    return f"insert('seats', owner=None, state={chance.randint(0, 9)}, since='today');\n" * chance.randint(6, 9)


def recursion(chance: random.Random) -> str:
    name, line = chance.choice(["visit", "walk", "fold"]), chance.randint(3, 90)
    return "Error: too deep\n" + f"    at {name} (tree.js:{line}:9)\n" * chance.randint(6, 9) + "    at main.js:3:1\n"


def upper_case_base32(chance: random.Random) -> str:
    return "seed " + base64.b32encode(chance.randbytes(60)).decode().replace("=", "") + "A" * 1_500


def drawn_table(chance: random.Random) -> str:
    rule = "├" + "─" * 12 + "┼" + "─" * 40 + "┤\n"
    rows = [f"│ part {n:<6} │ {sentence(chance)[:38]:38} │\n" for n in range(chance.randint(9, 40))]
    return rule.join(rows)


def one_verdict(chance: random.Random) -> str:
    said = sentence(chance)
    files = [f"{chance.choice(NAMES).lower()}{chance.choice(NAMES).lower()}" for _ in range(24)]
    return "".join(f"{name}: {said} {sentence(chance)}\n\n" for name in dict.fromkeys(files))


def questions(chance: random.Random) -> str:
    return "".join(
        f"How does {chance.choice(WHO)} differ from {chance.choice(WHO)}?\nThe one {chance.choice(DOES)} "
        f"{chance.choice(WHAT)} {chance.choice(WHEN)}, the other does not.\n\n"
        for _ in range(30)
    )


def registers(chance: random.Random) -> str:
    name = chance.choice(["LED", "PORT", "TIMER"])
    return "enum {\n" + "".join(f"    {name}_CHANNEL_{n} = {n},\n" for n in range(48)) + "};\n"


LOOKS_LIKE_ONE: dict[str, Callable[[random.Random], str]] = {
    "empty squares": board,
    "empty cards": cards,
    "pauses": pauses,
    "unrolled": unrolled,
    "equal records": equal_records,
    "equal inserts": equal_inserts,
    "recursion": recursion,
    "upper-case base32": upper_case_base32,
    "drawn table": drawn_table,
    "one verdict for all": one_verdict,
    "questions and answers": questions,
    "registers": registers,
}
