"""What `minidlrm grade new` writes: a small assignment that works, to be changed bit by bit."""
