"""The report: what a sweep came to, on one page that needs no network.

    content.py     all that is told, as frozen values; whoever makes them reads the store
    answer.py      the answer in one paragraph
    charts.py      curves and points as charts, for both ways of drawing them
    thinning.py    curves made short enough for a page
    html.py        the page; drawing.py the charts on it that need no script; page/ its style and its script
    markdown.py    the same for terminals and pull requests
    numbers.py     how figures are written
    using.py       how the recommended schedule is used, as code

Pure, all of it: content in, text out.
"""
