"""What can go wrong with the local cluster. The tree answers two questions: may we retry, and whose fault is it.

ClusterError
├── SettingError          the person's: a setting that nobody can follow; the message names it
├── ToolMissingError      the person's: install what the message names, then run again
├── BuildError            the network's or the toolchain's: run again, the build goes on where it ended
├── ComponentError        a program of the cluster did not come up or ended; its log's tail is in the message
│   └── PortTakenError    another program took the port between choosing and binding it: safe to retry at once
└── CommandError          kubectl said no
"""

from typing import ClassVar


class ClusterError(Exception):
    """Base of every error this package raises; its message alone says what to do."""

    may_retry: ClassVar[bool] = False


class SettingError(ClusterError):
    """A setting that nobody can follow; the message says what it may be."""


class ToolMissingError(ClusterError):
    """A program that this machine lacks; the message says what to install."""


class BuildError(ClusterError):
    """Building the Kubernetes programs failed; nothing half-built is left in the cache."""

    may_retry: ClassVar[bool] = True


class ComponentError(ClusterError):
    """A component did not become ready or ended by itself."""


class PortTakenError(ComponentError):
    """The chosen port was taken before the component could bind it."""

    may_retry: ClassVar[bool] = True


class CommandError(ClusterError):
    """A kubectl command failed; the message holds what it wrote to stderr."""
