"""``lrsweep serve`` and ``lrsweep token``.

sources.py    what the service says, by the functions of the other commands
starting.py   the service, where its parts are installed
tokens.py     who may ask it
"""
