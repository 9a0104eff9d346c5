"""Each side in a process of its own, in turn, round after round: wall time, CPU time, faults."""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from tests.benchmarks.cases import Case
from tests.benchmarks.sides import SIDES

PAUSE = 0.1  # seconds between two turns: the threads of some libraries spin when there is no work
Measured = dict[str, list[float]]  # a number for each round: milliseconds of a step, faults


def serve(name: str, model: str, batch_size: str) -> None:
    """Be a side: say that it is ready, then run a round for each line of standard input."""
    case = Case(model, int(batch_size))
    run = SIDES[name][1](case)
    run()  # compiles, fills caches, takes memory
    run()
    print(json.dumps({"ready": True}), flush=True)
    for _ in sys.stdin:
        before, cpu, start = _faults(), time.process_time(), time.perf_counter()
        loss = run()
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
        faults = (_faults() - before) / case.steps
        ms = {"wall": 1e3 * wall / case.steps, "cpu": 1e3 * cpu / case.steps}
        print(json.dumps({**ms, "faults": faults, "loss": loss}), flush=True)


def _faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


class Side:
    """A process that waits until it is its turn."""

    def __init__(self, name: str, case: Case):
        module = [sys.executable, "-m", "tests.benchmarks.turns"]
        self.process = subprocess.Popen(
            [*module, name, case.model, str(case.batch_size)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.rounds: list[dict[str, float]] = []

    def ready(self) -> str:
        """Wait until it is ready; return "", or why it cannot be."""
        assert self.process.stdout is not None
        if self.process.stdout.readline():
            return ""
        assert self.process.stderr is not None
        lines = self.process.stderr.read().strip().splitlines()
        return lines[-1] if lines else f"ended with {self.process.wait()}"

    def take_turn(self) -> None:
        """Run a round."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        self.rounds.append(json.loads(self.process.stdout.readline()))

    def end(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()  # type: ignore[union-attr]

    def measured(self) -> Measured:
        """Return what each round took."""
        return {key: [each[key] for each in self.rounds] for key in self.rounds[0]}


def measure(case: Case, names: Sequence[str], rounds: int) -> dict[str, Any]:
    """Return for each side what its rounds took; or, for one that is missing, why.

    Light models take more rounds than `rounds`.
    """
    found: dict[str, Any] = {}
    with ExitStack() as stack:
        sides = {}
        for name in names:
            side = Side(name, case)
            stack.callback(side.end)
            why = side.ready()
            if why:
                found[name] = why
            else:
                sides[name] = side
        for _ in range(case.rounds(rounds)):
            for side in sides.values():
                time.sleep(PAUSE)
                side.take_turn()
        found |= {name: side.measured() for name, side in sides.items()}
    return {name: found[name] for name in names}


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Keep some processes busy beside what is measured."""
    command = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(command) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


if __name__ == "__main__":
    serve(*sys.argv[1:])
