"""What each rank of an MPI run does in test_ranks.py: train and print hashes; or hold 4 GB."""

import json
import resource
import sys
import time
from unittest.mock import Mock, patch

import minidlrm as md
from minidlrm.checkpoint import pack
from minidlrm.cli import app
from minidlrm.parallel import folder, mpi, sharded
from tests import test_parallel as cases

FEW = ("table adam bags", "row adagrad one-hot", "column rowwise bags")


def hashes(comm):
    """Train 50 steps with each optimizer, on each kind of rows, split in each way; or a few.

    And once with early stopping.
    """
    found = {}
    for by in cases.WAYS:
        for name, make in cases.OPTIMIZERS.items():
            for kind, rows in (("one-hot", cases.one_hot(1580)), ("bags", cases.bags(1580))):
                if not cases.LONG and f"{by} {name} {kind}" not in FEW:
                    continue
                with cut_small():
                    digest, _ = cases.trained(
                        comm, by, cases.dlrm, rows, make(), batch_size=64, epochs=2
                    )
                found[f"{by} {name} {kind}"] = digest
    return found | {"row adam early stopping": stopped_early(comm)}


def stopped_early(comm):
    """Train until the scores of other rows get worse; return the hash of the best weights."""
    rows, valid = cases.one_hot(100), cases.one_hot(50, seed=1)
    options = {"batch_size": 64, "epochs": 8, "eval_every": 1, "patience": 2}
    with cut_small():
        digest, history = cases.trained(
            comm, "row", cases.dlrm, rows, md.Adam(0.05), valid, **options
        )
    assert history.stopped_early
    return digest


def cut_small():
    return patch.multiple(cases.blocks, _LIGHT=0, _FIRST=8, _ROWS=8)


def memory(comm):
    """Take two steps with a model of 4 GB; return what each rank has held at most, in MiB."""
    rows = cases.one_hot(512, sizes=[62_500_000, 10])
    with sharded(comm, "row"):
        model = md.DLRM(4, [62_500_000, 10], 16, (16,), (16,))
    md.fit(model, rows, optimizer=md.SGD(0.1), batch_size=256, progress=False)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    own = model.embeddings.weight.value.nbytes / 2**20
    return [held, own, len(folder.content(model, *pack(model)))]


def fail(comm):
    """Raise on rank 1, inside of the command line, while rank 0 waits for it."""
    if comm.rank == 0:
        comm.barrier()
    print(f"fails at {time.time()}", file=sys.stderr, flush=True)
    known = patch.object(sys, "argv", ["minidlrm", "train"])
    with known, patch.object(app, "make_app", Mock(side_effect=ValueError("only here"))):
        app.main()


if __name__ == "__main__":
    ranks = mpi()
    result = {"hashes": hashes, "memory": memory, "fail": fail}[sys.argv[1]](ranks)
    if ranks.rank == 0:
        print(json.dumps(result))
