"""Starts programs of this project in a few milliseconds: forked from a process that has already imported them.

Importing a program's modules is most of the processor's time that a short run takes, and tests start thousands. The
modules read nothing when they are imported (each program has one composition root), so that a process which is forked
after the imports, and then given its own arguments, environment, files, directory and signals, does what a fresh one
does. Its process id, exit code and process group are its own; what differs is named in `fork_server.py`. Starts that
ask something of the interpreter itself are not forked, and the tests of starting a program start it as people do.
"""
