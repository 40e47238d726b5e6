"""`python -m estimatesync_job`."""

import os
import signal
import sys

# To be told to stop is remembered until the sync listens: importing the rest takes a while, and as the first process
# of a container it would not hear the signal at all.
signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))

from estimatesync_job.main import main  # noqa: E402 - the line above must come first

exit_code = main()
sys.stdout.flush()
# All is closed and written. To take the interpreter apart in good order would cost a small sync a tenth of its time.
os._exit(exit_code)
