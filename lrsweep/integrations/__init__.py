"""Bridges to other libraries, each loaded when it is first used: most need torch, ``attach`` needs numpy alone.

``s.torch(...)`` and ``lrsweep.schedule_from_torch`` lead to PyTorch; ``attach`` makes a script part of a sweep, and
``huggingface`` and ``lightning`` carry its schedule into trainers that own the loop.
"""
