"""What holds for every test."""

import atexit
import os
import shutil
import tempfile

# Tests run side by side, one to a processor: linear algebra that spreads over all of them only gets in its own way.
# It has to be said before numpy is imported.
for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

# What a test leaves in the user's folder is no other test's, and nothing of the user's is found or touched.
_HOME = tempfile.mkdtemp(prefix="halfnormal-tests-")
os.environ["HALFNORMAL_HOME"] = _HOME
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
