"""What passes between a sweep and a user's own script: files and command lines, never live objects. numpy alone.

    engine ──plan file──> script ──reports, line by line──> engine
       └──a file `stop`──> script

``plan_file`` says what to train, ``reports`` what came of it. The engine's side is ``lrsweep.engines.command``, the
script's ``lrsweep.attach``; both may run on other machines that share a folder, under another Python and torch.
"""
