"""Gradient checkers on the same planted bugs: what each catches, what it says, how long it takes.

    pip install jax autograd scipy torch
    python tests/benchmarks/checkers.py [--seeds 3] [--out docs/measured/checkers.md]

Every bug of `minidlrm.checking.bugs` is given to each checker as functions of flat float64
arrays: the parameters and the float inputs. The ids are those that the bug brings, as a caller
would give them; that minidlrm makes ids collide is part of its own protocol. All checkers run at
their defaults, but for these: SciPy's has no verdict, so a relative error above 1e-5 counts as
caught; the CS231n recipe (central differences of sum(dout * f), h = 1e-5) counts above 1e-6.
"""

import argparse
import signal
import time
import warnings
from collections import defaultdict
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import torch
from autograd.extend import defvjp, primitive
from autograd.test_util import check_grads as autograd_check_grads
from jax.test_util import check_grads as jax_check_grads
from scipy.optimize import check_grad

import minidlrm as md
from minidlrm.checking.bugs import CORPUS
from minidlrm.checking.subject import Subject, as_dense

jax.config.update("jax_enable_x64", True)


class Functions:
    """A target as two functions of float arrays: its parameters and float inputs."""

    def __init__(self, target, *inputs):
        self.subject = Subject(target, inputs).astype(np.float64)
        grads, _ = self.subject.gradients(np.ones(self.subject.output().shape))
        self.names = [name for name in self.subject.arrays if name in grads]
        self.start = [self.subject.arrays[name].copy() for name in self.names]
        self.shape = self.subject.output().shape

    def _load(self, arrays):
        for name, array in zip(self.names, arrays, strict=True):
            self.subject.arrays[name][...] = np.asarray(array)

    def forward(self, *arrays):
        self._load(arrays)
        return np.array(self.subject.output(), dtype=np.float64)

    def backward(self, dy, *arrays):
        self._load(arrays)
        grads, _ = self.subject.gradients(np.array(dy, dtype=np.float64))
        return [self._full(grads[n], a) for n, a in zip(self.names, arrays, strict=True)]

    @staticmethod
    def _full(grad, array):
        full = np.zeros(np.shape(array))
        if grad is not None:
            full[...] = as_dense(grad)
        return full


def by_torch(f):
    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *arrays):
            ctx.save_for_backward(*arrays)
            return torch.from_numpy(f.forward(*(a.detach().numpy() for a in arrays)))

        @staticmethod
        def backward(ctx, dy):
            arrays = [a.detach().numpy() for a in ctx.saved_tensors]
            return tuple(torch.from_numpy(g) for g in f.backward(dy.numpy(), *arrays))

    inputs = tuple(torch.tensor(a, requires_grad=True) for a in f.start)
    torch.autograd.gradcheck(Function.apply, inputs)


def by_jax(f):
    @jax.custom_vjp
    def function(*arrays):
        return jax.pure_callback(f.forward, jax.ShapeDtypeStruct(f.shape, jnp.float64), *arrays)

    def backward(arrays, dy):
        shapes = [jax.ShapeDtypeStruct(a.shape, jnp.float64) for a in arrays]
        return tuple(jax.pure_callback(f.backward, shapes, dy, *arrays))

    function.defvjp(lambda *arrays: (function(*arrays), arrays), backward)
    jax_check_grads(function, tuple(map(jnp.asarray, f.start)), order=1, modes=("rev",))


def by_autograd(f):
    function = primitive(f.forward)
    makers = [
        lambda ans, *arrays, k=k: lambda dy: f.backward(dy, *arrays)[k] for k in range(len(f.start))
    ]
    defvjp(function, *makers)
    for k in range(len(f.start)):
        autograd_check_grads(function, k, modes=["rev"], order=1)(*f.start)


def by_scipy(f):
    """Check the gradient of the sum of all outputs, as a flat function."""
    ends = np.cumsum([a.size for a in f.start])[:-1]

    def split(x):
        parts = np.split(x, ends)
        return [p.reshape(a.shape) for p, a in zip(parts, f.start, strict=True)]

    def gradient(x):
        return np.concatenate([g.ravel() for g in f.backward(np.ones(f.shape), *split(x))])

    x = np.concatenate([a.ravel() for a in f.start])
    error = check_grad(lambda x: float(f.forward(*split(x)).sum()), gradient, x)
    relative = error / max(1e-12, float(np.linalg.norm(gradient(x))))
    assert relative < 1e-5, f"check_grad returned {error:.3g}"


def by_cs231n(f):
    """The recipe of the course: all entries, random dout, the largest relative error."""
    dout = np.random.default_rng(0).normal(size=f.shape)
    worst = 0.0
    for k, analytic in enumerate(f.backward(dout, *f.start)):
        arrays = [a.copy() for a in f.start]
        numeric = np.zeros_like(arrays[k])
        for index in np.ndindex(numeric.shape):
            kept = arrays[k][index]
            arrays[k][index] = kept + 1e-5
            above = np.sum(f.forward(*arrays) * dout)
            arrays[k][index] = kept - 1e-5
            below = np.sum(f.forward(*arrays) * dout)
            arrays[k][index] = kept
            numeric[index] = (above - below) / 2e-5
        size = np.maximum(1e-8, np.abs(analytic) + np.abs(numeric))
        worst = max(worst, float(np.max(np.abs(analytic - numeric) / size, initial=0)))
    assert worst < 1e-6, f"relative error: {worst:.6e}"


PEERS = {
    "torch.autograd.gradcheck": by_torch,
    "jax.test_util.check_grads": by_jax,
    "autograd check_grads": by_autograd,
    "scipy check_grad of the sum": by_scipy,
    "CS231n relative error": by_cs231n,
}


def ours(case, seed):
    report = md.gradcheck(*case, seed=seed, verbose=False)
    return (None, None) if report.passed else (str(report), report.diagnosis[0].key)


def theirs(check, case):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            np.random.seed(0)  # noqa: NPY002  (autograd draws its direction from it)
            check(Functions(*case))
    except Exception as error:
        return str(error) or type(error).__name__
    return None


def whole_dlrm():
    """Return the model and batch of the speed goal: 13 dense features, 26 tables, D = 8, B = 8."""
    rng = np.random.default_rng(0)
    model = md.DLRM(13, [1000] * 26, 8, bottom_mlp=(32,), top_mlp=(32,), seed=0)
    dense = rng.normal(size=(8, 13)).astype(np.float32)
    return model, md.data.Batch(dense, rng.integers(0, 1000, (8, 26)), None)


def seconds_of(run, limit=30):
    """Return the median time of five runs, as text; past the limit they are stopped.

    The code is right, so that an error is a false alarm.
    """

    def stop(*_):
        raise TimeoutError

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(limit)
    times, alarm = [], ""
    try:
        for _ in range(6):
            start = time.perf_counter()
            try:
                run()
            except (AssertionError, RuntimeError):
                alarm = ", false alarm"
            times.append(time.perf_counter() - start)
    except (TimeoutError, SystemError):  # the latter when the alarm rings in a compiled kernel
        return f"> {limit}"
    finally:
        signal.alarm(0)
    return f"{np.median(times[1:]):.2f}{alarm}"  # the first run warms up


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="A file for the tables, beside the screen.")
    arguments = parser.parse_args()
    seeds = range(arguments.seeds)
    caught, named, alarms = defaultdict(int), defaultdict(int), defaultdict(int)
    seconds, missed, said = defaultdict(lambda: defaultdict(list)), defaultdict(set), {}
    for bug in CORPUS:
        for seed in seeds:
            for cls in (bug.cls, bug.correct):
                case = bug.make(cls, np.random.default_rng(seed))
                runs = {"minidlrm gradcheck": lambda case=case, seed=seed: ours(case, seed)}
                for name, check in PEERS.items():
                    runs[name] = lambda check=check, case=case: (theirs(check, case), None)
                for name, run in runs.items():
                    start = time.perf_counter()
                    message, key = run()
                    if cls is bug.correct:
                        seconds[name][bug].append(time.perf_counter() - start)
                        alarms[name] += message is not None
                        continue
                    caught[name] += message is not None
                    named[name] += key == bug.cause
                    if message is None:
                        missed[name].add(bug.cls.__name__)
                    elif bug.cls.__name__ == "BatchMissing":
                        said[name] = " ".join(message.split())[:160]
    total = len(CORPUS) * len(seeds)
    case = whole_dlrm()
    large = {"minidlrm gradcheck": seconds_of(lambda: md.gradcheck(*case, verbose=False))}
    for name, check in PEERS.items():
        large[name] = seconds_of(lambda check=check: check(Functions(*case)))
    lines = ["| checker | caught | cause named first | false alarms | the corpus, ms | a DLRM, s |"]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    for name in seconds:
        ms = f"{1e3 * sum(float(np.median(times)) for times in seconds[name].values()):,.0f}"
        counts = f"{caught[name]} of {total} | {named[name]} | {alarms[name]}"
        lines.append(f"| {name} | {counts} | {ms} | {large[name]} |")
    lines += ["", "| checker | misses |", "| --- | --- |"]
    lines += [f"| {name} | {', '.join(sorted(missed[name])) or 'none'} |" for name in seconds]
    text = "\n".join(lines) + "\n"
    print(text)
    for name, words in said.items():
        print(f"{name} says of BatchMissing: {words}")
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
