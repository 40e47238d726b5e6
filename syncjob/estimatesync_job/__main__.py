"""`python -m estimatesync_job`."""

import gc
import os
import signal
import sys

# A signal to stop is held back until the sync handles it: the imports take a while, and the first process of a
# container would otherwise ignore it.
signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))

# What is imported stays: looking through it for garbage would take a twentieth of the start. `main` goes on with it.
gc.disable()

from estimatesync_job.main import main  # noqa: E402 - the lines above must come first

exit_code = main()
sys.stdout.flush()
# Everything is closed and written. An orderly shutdown of the interpreter would cost a small sync a tenth of its time.
os._exit(exit_code)
