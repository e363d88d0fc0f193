"""Bodies of every shape over a real socket through the real SDK: the span says what a reader of the body alone says.

`STREAMSPAN_RECORDINGS` names a folder with more of them, recorded ones, in files that end in `.sse`.
"""
