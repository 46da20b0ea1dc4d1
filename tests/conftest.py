"""As many threads per test process as leave every process its own cores.

Threads that wait for others to get a core spin meanwhile: two processes of two threads each on two
cores train ten times slower than with one.
"""

from __future__ import annotations

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # before torch or numpy are imported
    processes = int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    threads = max(1, (os.cpu_count() or 1) // processes)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
