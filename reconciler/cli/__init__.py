"""The command line: options in, exit code out.

Commands are loaded when they are asked for. The one mapping of errors to exit codes is here;
nothing else ends the process.
"""

from reconciler.cli.main import main

__all__ = ["main"]
