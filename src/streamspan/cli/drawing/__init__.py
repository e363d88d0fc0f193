"""One finished stream, for people, wherever it comes from: the demo's memory or the wire.

    finished.py   as data
    words.py      in words
    rows.py       the rows of its waterfall
    waterfall.py  drawn in a terminal

Nothing of the instrumentation imports this folder.
"""
