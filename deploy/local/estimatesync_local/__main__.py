"""Makes `python -m estimatesync_local` the command."""

from estimatesync_local.command import serve_checkout

serve_checkout()
