"""python -m minidlrm: the same as the command minidlrm."""

from minidlrm.cli import main

if __name__ == "__main__":
    main()
