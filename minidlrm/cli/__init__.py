"""The command line: minidlrm train, compare, gradcheck, show, verify, data, learn, grade."""

from minidlrm.cli.app import main

__all__ = ["main"]
