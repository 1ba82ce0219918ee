"""What holds for every test."""

import os

# Tests run side by side, one to a processor: linear algebra that spreads over all of them only gets in its own way.
# It has to be said before numpy is imported.
for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
