"""Campaigns: scripts that try many random things, each with a count and a seed.

    python -m tests.campaigns.inputs --count 100000   hostile calls of the public API
    python -m tests.campaigns.damage                  every byte of a checkpoint changed
    python -m tests.campaigns.kill --count 50         kill -9, full disks, two writers
    python -m tests.campaigns.mutate --count 300      one token changed, against the file's tests

Each prints its figures and what it found, and exits 1 when it found a fault. ``.ci/run``
runs a short form of each, ``.ci/run --long`` the long one. They run on Linux and macOS.
"""
