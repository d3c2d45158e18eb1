"""The page at ``/``: what there is, for people. It shows and links; what MLflow reviews is reviewed there.

sessions.py    who has signed in, by a cookie that is no token       page.py     the page, made of what was gathered
gathering.py   what the page tells, from the store                   picture.py  a schedule, drawn small
mlflow.py      where MLflow's saved views of a study are             signing.py  the page on which one signs in
markup.py      elements in which every text is text                  frame.py    what all pages have around them
page.css       their style

The pages have no script. Their policy allows their own style, by its hash, and forms that are sent here, and nothing
else.
"""
