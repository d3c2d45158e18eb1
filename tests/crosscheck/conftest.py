"""The libraries that our schedules are compared with: no network, no GPU, 64-bit numbers, nothing written to the home.

They read these variables when they are first imported, and pytest reads this file before it imports a test beside it.
"""

from __future__ import annotations

import os
import tempfile

os.environ.update(
    HF_HUB_OFFLINE="1",
    JAX_ENABLE_X64="1",
    JAX_PLATFORMS="cpu",
    KERAS_BACKEND="torch",  # the one backend that computes all of Keras's schedules in 64 bits
    KERAS_HOME=tempfile.mkdtemp(prefix="keras-"),  # otherwise ~/.keras
    KERAS_TORCH_DEVICE="cpu",
)
