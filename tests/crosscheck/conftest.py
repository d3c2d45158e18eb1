"""The libraries that our schedules are compared with: no network, no GPU, 64-bit numbers, nothing written to the home.

They read these variables when they are first imported, and pytest reads this file before it imports a test beside it.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

OWN_HOME = tempfile.mkdtemp(prefix="keras-")
atexit.register(shutil.rmtree, OWN_HOME, ignore_errors=True)

os.environ.update(
    HF_HUB_OFFLINE="1",
    JAX_ENABLE_X64="1",
    JAX_PLATFORMS="cpu",
    KERAS_BACKEND="torch",  # on JAX and NumPy some of Keras's schedules stay in 32 bits
    KERAS_HOME=OWN_HOME,  # otherwise ~/.keras
    KERAS_TORCH_DEVICE="cpu",
)
