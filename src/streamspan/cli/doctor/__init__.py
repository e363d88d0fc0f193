"""`streamspan doctor`: what stands between this environment and its telemetry.

    finding.py    what one check has found
    packages.py   what is installed, and whether it fits
    sdks.py       which SDKs there are
    seam.py       what of each SDK is patched, and who else makes spans of its calls
    settings.py   what the environment switches off or changes
    export.py     which exporters the environment sets up
    endpoint.py   where an exporter sends to, and whether somebody listens there
    send.py       one test span, sent as an application's would be
    report.py     all checks in their order, the one next step, as text and as JSON
    command.py    the sub-command

It looks only: it instruments nothing, and without `--send` it sends nothing. It prints no header, no user, no password
and no query of an address. It needs no more than a bare install, and a package that is broken is a finding.
"""
