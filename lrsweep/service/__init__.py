"""The service: what a store holds, over HTTP, for programs that ask "which schedule?", and on a page for people.

listening.py   the socket, the server, its end           results.py    the store, looked at again each second
app.py         the parts put together                    answers.py    the schedule of a study, made once and kept
sources.py     what it says of a sweep                   kept.py       answers that were made, up to so many of them
guard.py       who may ask: tokens, hosts, rates         paging.py     a list in pages
shield.py      every request: size, patience, headers    metrics.py    counts for Prometheus
problems.py    every refusal, as problem+json            shapes.py     what is asked and answered, for OpenAPI
routes/        one file for each kind of thing           landing/      the page at /, and signing in

A request goes down this list: shield, guard, route, results. What a sweep comes to is found by ``lrsweep.findings``, as
for the command line: a program over HTTP and a person at a terminal get the same.
"""
