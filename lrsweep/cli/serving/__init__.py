"""``lrsweep serve`` and ``lrsweep token``.

starting.py   the service, where its parts are installed
tokens.py     who may ask it
"""
