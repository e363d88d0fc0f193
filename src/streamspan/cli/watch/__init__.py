"""A receiver of OTLP/HTTP that shows streams in the terminal as they end.

    body.py      the body of a request, within bounds
    receiver.py  the server
    otlp.py      from the messages of OTLP to plain records
    joined.py    each stream once, with its events
    totals.py    the running totals of each service and model
    table.py     the totals, as a table
    content.py   what was said, where an application captures that
    view.py      streams as they end: drawn, as lines, or as JSON
    watching.py  all of the above, together
    command.py   the sub-command

Nothing of the instrumentation imports this folder, and it imports nothing of that but the names.
"""
