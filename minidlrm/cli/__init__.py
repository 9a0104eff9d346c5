"""The command line, minidlrm COMMAND; each command is a function of this package."""

from minidlrm.cli.app import main

__all__ = ["main"]
