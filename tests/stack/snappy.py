"""Reads what Prometheus's remote write sends: the block format of snappy.

Source: https://github.com/google/snappy/blob/main/format_description.txt
"""


def decompressed(block: bytes) -> bytes:
    """The bytes after a block, which must be a correct one."""
    size, at = _varint(block)
    out = bytearray()
    while at < len(block):
        tag, at = block[at], at + 1
        if tag & 3 == 0:  # a literal; its length is in the tag, or in one to four bytes after it
            length, extra = tag >> 2, max(0, (tag >> 2) - 59)
            if extra:
                length = int.from_bytes(block[at : at + extra], "little")
            at += extra
            out += block[at : at + length + 1]
            at += length + 1
        else:  # a copy of what came before, which may overlap with what it writes
            length, offset_bytes = ((tag >> 2) + 1, 2 if tag & 3 == 2 else 4)
            offset = int.from_bytes(block[at : at + offset_bytes], "little")
            if tag & 3 == 1:
                length, offset_bytes, offset = ((tag >> 2) & 7) + 4, 1, (tag >> 5 << 8) | block[at]
            at += offset_bytes
            for _ in range(length):
                out.append(out[-offset])
    assert len(out) == size
    return bytes(out)


def _varint(block: bytes) -> tuple[int, int]:
    """The number at the start, and where it ends."""
    number, at = 0, 0
    while True:
        number |= (block[at] & 127) << (7 * at)
        at += 1
        if block[at - 1] < 128:
            return number, at
