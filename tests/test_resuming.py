"""fit with checkpoints: interrupted anywhere, it ends with the same bits."""

import os
import signal
import subprocess
import sys
import threading
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

import minidlrm as md
from minidlrm import checkpoint
from minidlrm.resuming import Interrupts


@pytest.fixture(scope="module")
def clicks():
    return md.data.synthetic_clicks(3500, 0, num_dense=3, num_tables=4, max_table_size=40)


def model(clicks, seed=0):
    return md.DLRM(3, clicks.table_sizes, 4, (8,), (8,), seed=seed)


def rate(**options):
    return partial(md.warmup_decay, lr=0.02, num_warmup_steps=3, **options)


def bits(network, optimizer):
    """Weights and state, as bytes."""
    arrays = checkpoint.pack(network, optimizer)[1]
    return {name: array.tobytes() for name, array in sorted(arrays.items())}


class Stop(Exception):
    """Ends a run from inside, between two steps, as a kill does."""


class Stopping(md.BCEWithLogits):
    """Lets some steps pass, then fails."""

    steps = 10**9

    def forward(self, logits, label):
        if not np.size(label) or self.steps == 0:
            raise Stop
        self.steps -= 1
        return super().forward(logits, label)

    def __repr__(self):
        return "BCEWithLogits(reduction='mean', pos_weight=None)"


def without_seconds(history):
    return [{k: v for k, v in r.items() if k != "seconds"} for r in history.records]


OPTIONS = {"batch_size": 500, "seed": 3, "eval_every": 2, "progress": False}


def run(clicks, path, steps=None, make=None, **options):
    """Train, at most this many steps; return everything that the run ends with."""
    network, optimizer, loss = model(clicks), make() if make else md.Adam(rate()), Stopping()
    loss.steps = 10**9 if steps is None else steps
    options = {**OPTIONS, "epochs": 3, **options}
    history = md.fit(network, clicks, optimizer=optimizer, loss=loss, checkpoint=path, **options)
    return bits(network, optimizer), without_seconds(history), history.stopped_early


@pytest.mark.parametrize("every", [1, 4, None])
@pytest.mark.parametrize("stop", [1, 5, 6, 7, 13])
def test_a_run_that_is_resumed_ends_with_the_same_bits(every, stop, clicks, tmp_path):
    whole = run(clicks, tmp_path / "whole.safetensors")
    path = tmp_path / "m.safetensors"
    with pytest.raises(Stop):
        run(clicks, path, steps=stop, checkpoint_every=every)
    if path.exists():
        assert run(clicks, path, checkpoint_every=every, resume=True) == whole
    else:
        assert stop < (every or 6)


@pytest.mark.parametrize("make", [md.RowwiseAdagrad, md.FTRL, lambda: md.Momentum(0.1)])
def test_every_kind_of_state_goes_on(make, clicks, tmp_path):
    whole = run(clicks, None, make=make)
    with pytest.raises(Stop):
        run(clicks, tmp_path / "m.safetensors", steps=8, make=make, checkpoint_every=1)
    assert run(clicks, tmp_path / "m.safetensors", make=make, resume=True) == whole


@pytest.mark.parametrize("stop", [7, 9, 12, 20, 25])
def test_early_stopping_goes_on_and_ends_in_the_best_step(stop, clicks, tmp_path):
    options = {"patience": 3, "epochs": 9, "make": lambda: md.Adam(0.1)}
    whole = run(clicks, tmp_path / "whole.safetensors", **options)
    assert whole[2]
    steps = [record["step"] for record in whole[1]]
    assert stop < steps[-1]
    path = tmp_path / "m.safetensors"
    with pytest.raises(Stop):
        run(clicks, path, steps=stop, checkpoint_every=1, **options)
    assert run(clicks, path, resume=True, **options) == whole
    optimizer = md.Adam(0.1)
    again = md.load(path, optimizer=optimizer)
    assert bits(again, optimizer) == whole[0]
    assert optimizer.num_steps == steps[-4]  # of the best evaluation, as the weights


def test_patience_gives_back_weights_and_state_of_one_step(clicks):
    network, optimizer = model(clicks), md.Adam(0.1)
    history = md.fit(
        network, clicks, optimizer=optimizer, patience=2, epochs=9, batch_size=500, progress=False
    )
    best = history.best["step"]
    assert optimizer.num_steps == best < history.records[-1]["step"]
    other, again = model(clicks), md.Adam(0.1)
    epochs = round(history.best["epoch"])
    md.fit(other, clicks.train, optimizer=again, epochs=epochs, batch_size=500, progress=False)
    assert bits(network, optimizer) == bits(other, again)


def test_a_finished_run_is_not_taken_again_and_may_get_more_epochs(clicks, tmp_path):
    path, longer = tmp_path / "m.safetensors", run(clicks, None, epochs=5)
    first = run(clicks, path)
    assert run(clicks, path, steps=0, resume=True) == first
    assert run(clicks, path, epochs=5, resume=True) == longer


def test_without_a_file_it_begins_anew_and_says_so(clicks, tmp_path, capsys):
    whole = run(clicks, None)
    assert run(clicks, tmp_path / "m.safetensors", resume=True) == whole
    assert "the run begins anew" in capsys.readouterr().err


def test_a_model_that_is_loaded_into_is_not_the_one_that_was_begun(clicks, tmp_path):
    path = tmp_path / "m.safetensors"
    whole = run(clicks, path)
    network, used = model(clicks, seed=9), md.Adam(rate())
    md.fit(network, clicks.train[:500], optimizer=used, progress=False)
    history = md.fit(
        network,
        clicks,
        optimizer=used,
        loss=Stopping(),
        checkpoint=path,
        resume=True,
        epochs=3,
        **OPTIONS,
    )
    assert (bits(network, used), without_seconds(history), False) == whole


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 400}, "batch_size: 500 in the file, 400 here"),
        ({"seed": 4}, "seed: 3 in the file, 4 here"),
        ({"eval_every": None}, "eval_every: 2 in the file, None here"),
        ({"patience": 2}, "patience: None in the file, 2 here"),
        ({"max_grad_norm": 1.0}, "max_grad_norm: None in the file, 1.0 here"),
        ({"make": lambda: md.Adam(0.1)}, "optimizer: "),
        ({"make": lambda: md.Adam(rate(end_lr=0.1))}, "end_lr"),
        ({"epochs": 2}, "epochs: 3 are done, 2 are asked for"),
    ],
)
def test_other_options_are_refused_by_name(options, message, clicks, tmp_path):
    run(clicks, tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match="cannot be resumed") as error:
        run(clicks, tmp_path / "m.safetensors", resume=True, **options)
    assert message in str(error.value)


def test_other_data_and_another_loss_are_refused(clicks, tmp_path):
    path = tmp_path / "m.safetensors"
    run(clicks, path)
    other = md.data.synthetic_clicks(3500, 1, num_dense=3, num_tables=4, max_table_size=40)
    network, optimizer = model(clicks), md.Adam(rate())
    before = bits(network, optimizer)
    options = {"optimizer": optimizer, "checkpoint": path, "resume": True, "epochs": 3, **OPTIONS}
    with pytest.raises(ValueError, match=r"train: 3000 rows, .*\n  valid: "):
        md.fit(network, other, **options)
    with pytest.raises(ValueError, match=r"loss: BCEWithLogits.* in the file, MSE"):
        md.fit(network, clicks, loss=md.MSE(), **options)
    assert bits(network, optimizer) == before
    assert (optimizer.num_steps, network.task) == (0, "clicks")


def test_a_file_that_fit_did_not_write_is_refused(clicks, tmp_path):
    md.save(model(clicks), tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match="was not written by fit"):
        run(clicks, tmp_path / "m.safetensors", resume=True)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"resume": True}, ValueError, "checkpoint is None"),
        ({"checkpoint_every": 3}, ValueError, "checkpoint is None"),
        ({"checkpoint": "none/m", "checkpoint_every": 0}, ValueError, "checkpoint_every is 0"),
        ({"checkpoint": "none/m"}, OSError, "none does not exist"),
    ],
)
def test_what_cannot_be_saved_is_said_before_the_first_step(options, error, message, clicks):
    network = model(clicks)
    before = bits(network, md.SGD(0.1))
    with pytest.raises(error, match=message):
        md.fit(network, clicks, progress=False, **options)
    assert bits(network, md.SGD(0.1)) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_the_step_and_the_run_goes_on_later(number, clicks, tmp_path):
    path, whole = tmp_path / "m.safetensors", run(clicks, None)
    seen = []

    def handler(*_):
        seen.append(path.exists())
        raise KeyboardInterrupt

    def interrupt(record):
        signal.raise_signal(number)
        assert not path.exists()  # it waits

    before = signal.signal(number, handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run(clicks, path, callback=interrupt)
        assert signal.getsignal(number) is handler
    finally:
        signal.signal(number, before)
    assert seen == [True]
    assert run(clicks, path, resume=True) == whole


def test_the_handler_of_before_decides_whether_the_run_goes_on(clicks, tmp_path):
    path, count = tmp_path / "m.safetensors", []
    before = signal.signal(signal.SIGTERM, lambda *_: count.append(path.exists()))
    try:
        interrupt = lambda record: signal.raise_signal(signal.SIGTERM)  # noqa: E731
        assert run(clicks, path, callback=interrupt) == run(clicks, None)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert count == [True] * 9


def test_a_second_signal_does_not_wait(clicks, tmp_path):
    def twice(record):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("it did not stop")

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(clicks, tmp_path / "m.safetensors", callback=twice)
    assert signal.getsignal(signal.SIGINT) is before


def test_handlers_are_not_touched_without_a_checkpoint_or_in_a_thread(clicks, tmp_path):
    seen, before = [], signal.getsignal(signal.SIGINT)
    look = lambda record: seen.append(signal.getsignal(signal.SIGINT) is before)  # noqa: E731
    run(clicks, None, callback=look, epochs=1)
    options = {"callback": look, "epochs": 1}
    thread = threading.Thread(target=run, args=(clicks, tmp_path / "m.safetensors"), kwargs=options)
    thread.start()
    thread.join()
    assert seen == [True] * 6
    run(clicks, tmp_path / "m.safetensors", callback=look, epochs=1)
    assert seen[6:] == [False] * 3


def test_ctrl_c_inside_a_kernel_is_a_keyboard_interrupt(clicks):
    class Kernel(md.BCEWithLogits):
        def forward(self, logits, label):
            try:
                raise KeyboardInterrupt
            except KeyboardInterrupt as error:
                raise SystemError("returned a result with an exception set") from error

    with pytest.raises(KeyboardInterrupt):
        md.fit(model(clicks), clicks, loss=Kernel(), progress=False)


CHILD = """
import sys, minidlrm as md
clicks = md.data.synthetic_clicks(3500, 0, num_dense=3, num_tables=4, max_table_size=40)
network, optimizer = md.DLRM(3, clicks.table_sizes, 4, (8,), (8,)), md.Adam(0.01)
md.fit(network, clicks, optimizer=optimizer, epochs=8, batch_size=50, progress=False,
       checkpoint=sys.argv[1], checkpoint_every=7, resume=True,
       callback=lambda record: print("record", flush=True))
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_process_is_resumed_with_the_same_bits_and_leaves_nothing(
    number, clicks, tmp_path
):
    path = tmp_path / "m.safetensors"
    command = [sys.executable, "-c", CHILD, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        child.stdout.readline()
        os.kill(child.pid, number)
    assert child.returncode == -number
    subprocess.run(command, check=True, capture_output=True)
    assert list(tmp_path.iterdir()) == [path]
    network, optimizer = model(clicks), md.Adam(0.01)
    md.fit(network, clicks, optimizer=optimizer, epochs=8, batch_size=50, progress=False)
    again = md.Adam(0.01)
    assert bits(md.load(path, optimizer=again), again) == bits(network, optimizer)


def test_ones_own_signal_after_that_of_another_rank_does_not_break_the_save(monkeypatch):
    saved = []

    class Run:
        path, steps = "run", SimpleNamespace(model=md.ReLU())

        def save(self):
            signal.raise_signal(signal.SIGINT)  # it has come to the other rank before
            saved.append("whole")

    monkeypatch.setattr(Interrupts, "_agreed", lambda self: int(signal.SIGINT))
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), Interrupts(Run()) as interrupts:
        interrupts.settle(save=False)
    assert saved == ["whole"]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_signal_that_comes_while_ranks_agree_is_kept_for_the_next_step(monkeypatch):
    class Run:
        path, steps = "run", SimpleNamespace(model=md.ReLU())

        def save(self):
            raise AssertionError("nothing is due")

    def agreed(self):
        seen = self.waiting
        signal.raise_signal(signal.SIGINT)
        return seen

    monkeypatch.setattr(Interrupts, "_agreed", agreed)
    interrupts = Interrupts(Run())
    with pytest.raises(KeyboardInterrupt), interrupts:
        interrupts.settle(save=False)
    assert interrupts.waiting == signal.SIGINT
