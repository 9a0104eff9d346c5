"""Ranks in one process: the communicator, sharded tables, and the bits of one process."""

import json
import os
import re
import threading
from collections import defaultdict
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
from rich.console import Console

import minidlrm as md
from minidlrm import blocks
from minidlrm.across import RankBlocks, own_blocks
from minidlrm.blocks import blocks_for
from minidlrm.checkpoint import pack, state_arrays
from minidlrm.cli import costs
from minidlrm.cli import ranks as command
from minidlrm.data.batch import Batch, Jagged
from minidlrm.data.cutting import Rows
from minidlrm.digested import content_digest
from minidlrm.parallel import cost, folder, planning, run, sharded
from minidlrm.parallel.comm import Communicator, RankFailedError, _InProcess, _World
from minidlrm.parallel.parts import WAYS, Part, shared_out
from minidlrm.parallel.sharding import collections
from minidlrm.summing import TreeSum

LONG = "MINIDLRM_LONG" in os.environ
SIZES = [50, 7, 3, 200, 11]
OPTIMIZERS = {
    "sgd": lambda: md.SGD(0.1),
    "adagrad": lambda: md.Adagrad(0.05),
    "rowwise": lambda: md.RowwiseAdagrad(0.05, weight_decay=0.01),
    "adam": lambda: md.Adam(0.01),
}


def one_hot(rows, seed=0, sizes=SIZES):
    rng = np.random.default_rng(seed)
    ids = np.stack([rng.integers(0, n, rows) for n in sizes], axis=1)
    dense, label = rng.normal(size=(rows, 4)), rng.random(rows) < 0.3
    return Batch(dense.astype(np.float32), ids, label.astype(np.float32))


def bags(rows, seed=0, weights=True):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 4, len(SIZES) * rows)
    parts = [
        rng.integers(0, n, lengths[t * rows : (t + 1) * rows].sum()) for t, n in enumerate(SIZES)
    ]
    values, offsets = np.concatenate(parts), np.concatenate([[0], np.cumsum(lengths)])
    scale = rng.normal(size=len(values)).astype(np.float32) if weights else None
    batch = one_hot(rows, seed)
    return Batch(batch.dense, Jagged(values, offsets, scale), batch.label)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Cut small batches, of light models too: 64 rows are 8 blocks."""
    for name, value in (("_LIGHT", 0), ("_FIRST", 8), ("_ROWS", 8)):
        monkeypatch.setattr(blocks, name, value)


def dlrm(**options):
    return md.DLRM(4, SIZES, 8, (16,), (16,), **options)


def trained(comm, by, make, rows, optimizer, valid=None, **options):
    """Train on ranks, or in one process without any; return the hash of all that was learned."""
    if comm is None:
        model = make()
    else:
        with sharded(comm, by):
            model = make()
    history = md.fit(model, rows, valid, optimizer=optimizer, progress=False, **options)
    return folder.content(model, *pack(model, optimizer)), history


def on_ranks(ranks, by, make, rows, optimizer, **options):
    """Train on ranks; return the hash, and see that all ranks have the same outside the tables."""

    def work(comm):
        with sharded(comm, by):
            model = make()
        own = OPTIMIZERS[optimizer]()
        md.fit(model, rows, optimizer=own, progress=False, **options)
        tables = {part.weight for part in collections(model)}
        copies = [p.value.tobytes() for p in model.parameters() if p not in tables]
        return folder.content(model, *pack(model, own)), b"".join(copies)

    hashes, copies = zip(*run(ranks, work), strict=True)
    assert len(set(copies)) == 1
    return hashes[0]


# The communicator


@pytest.mark.parametrize("ranks", [1, 2, 4, 8])
def test_butterfly_is_the_balanced_tree_on_every_rank(ranks):
    leaves = np.random.default_rng(0).normal(size=(ranks, 1000)).astype(np.float32)
    tree = TreeSum(ranks, np.add)
    for r in range(ranks):
        tree.put(r, leaves[r])
    for total in run(ranks, lambda comm: comm.all_reduce(leaves[comm.rank])):
        assert np.array_equal(total, tree.total())
    if ranks > 2:  # another order gives other bits, so that this test can fail
        assert not np.array_equal(tree.total(), np.add.reduce(leaves))


def test_ranks_beyond_the_busy_ones_add_nothing_not_even_zero():
    leaf = np.array([-0.0], np.float32)
    for total in run(4, lambda comm: comm.all_reduce(leaf * (1 if comm.rank < 1 else 0), busy=1)):
        assert np.signbit(total[0])


def test_all_to_all_transposes_and_keeps_shapes():
    def work(comm):
        parts = [np.full((comm.rank + r, 3), 10 * comm.rank + r) for r in range(comm.size)]
        return comm.all_to_all(parts)

    for r, got in enumerate(run(4, work)):
        assert [part.shape for part in got] == [(q + r, 3) for q in range(4)]
        assert all((part == 10 * q + r).all() for q, part in enumerate(got))


def test_what_was_sent_may_be_changed_afterwards():
    def work(comm):
        x = np.full(3, comm.rank)
        got = comm.all_gather(x)
        x[:] = -1
        comm.barrier()
        return [int(part[0]) for part in got if part is not x]

    assert run(2, work) == [[1], [0]]


def test_what_a_rank_keeps_is_not_counted():
    def work(comm):
        comm.all_to_all([np.zeros(5)] * 4, [5] * 4)
        comm.broadcast(np.zeros(2))
        return comm.totals()

    sent = run(4, work)[0]
    assert (sent["all to all"].messages, sent["all to all"].bytes) == (12, 12 * 40)
    assert (sent["broadcast"].messages, sent["broadcast"].bytes) == (3, 48)


@pytest.mark.parametrize("ranks", [0, 3, 6, 2.5, "2"])
def test_ranks_that_are_no_power_of_two_are_refused_by_name(ranks):
    with pytest.raises((TypeError, ValueError), match="ranks is"):
        run(ranks, lambda comm: None)


def test_a_rank_that_fails_ends_all_with_its_own_error():
    seen = []

    def work(comm):
        if comm.rank == 2:
            raise KeyError("rank 2 says so")
        try:
            comm.barrier()
        except RankFailedError as error:
            seen.append(str(error))
            raise

    with pytest.raises(KeyError, match="rank 2 says so"):
        run(4, work)
    assert seen == ["rank 2 has failed"] * 3
    assert not [t for t in threading.enumerate() if t.name.startswith("rank ")]


# Parts


@pytest.mark.parametrize("by", WAYS)
@pytest.mark.parametrize("ranks", [1, 2, 4, 8])
@pytest.mark.parametrize(("own", "dim"), [(SIZES, 8), ([1], 1), ([5, 0, 9], 3)])
def test_every_number_is_on_one_rank(by, ranks, own, dim):
    held = np.zeros((sum(own), dim), int)
    for part in shared_out(by, own, dim, ranks):
        for first, last in part.rows:
            held[first:last, slice(*part.columns)] += 1
    assert (held == 1).all()
    assert shared_out(by, own, dim, ranks)[0].rows  # rank 0 always holds something


def test_within_says_where_rows_are():
    part = Part(((2, 4), (7, 10)), (0, 1))
    assert list(part.within(3, 8)) == [(3, slice(1, 2)), (7, slice(2, 3))]


# Sharded tables


@pytest.mark.parametrize("by", WAYS)
@pytest.mark.parametrize("kind", ["one-hot", "bags", "weights", "mean", "shared"])
def test_tables_on_ranks_give_the_bits_of_whole_tables(by, kind):
    ranks = 4
    mode = "mean" if kind == "mean" else "sum"
    shared = [(2, 0)] if kind == "shared" else []
    sizes = [50, 7, 50, 200, 11] if shared else SIZES
    batch = one_hot(12) if kind in ("one-hot", "shared") else bags(12, weights=kind == "weights")
    dy = np.random.default_rng(1).normal(size=(12, 5, 8)).astype(np.float32)
    own = [slice(12 * r // ranks, 12 * (r + 1) // ranks) for r in range(ranks)]

    def make():
        rng = np.random.default_rng(0)
        return md.layers.embedding.make_tables(sizes, 8, mode, shared=shared, rng=rng)

    def work(comm):
        with sharded(comm, by):
            tables = make()
        y = tables.forward(batch[own[comm.rank]].sparse)
        tables.backward(dy[own[comm.rank]])
        return y, tables.gathered()

    whole = make()
    y, terms = whole.forward(batch.sparse), []
    for rows in own:  # the samples of a rank are added up first, as a block is
        whole.zero_grad()
        whole.forward(batch[rows].sparse)
        whole.backward(dy[rows])
        terms.append(whole.weight.grad)
    grad = md.SparseGrad.sum(terms)
    results = run(ranks, work)
    assert np.array_equal(np.concatenate([part for part, _ in results]), y)
    for _, gathered in results:
        assert np.array_equal(gathered.rows, grad.rows)
        assert np.array_equal(gathered.values, grad.values)


@pytest.mark.parametrize("by", WAYS)
def test_a_rank_draws_the_numbers_that_one_process_would(by):
    def work(comm):
        with sharded(comm, by):
            return [(t.weight.value, t.parts[comm.rank]) for t in collections(md.DeepFM(4, SIZES))]

    whole = md.DeepFM(4, SIZES)
    tables = [whole.linear.fields.tables, whole.fields.tables]
    for parts in run(4, work):
        for (value, part), table in zip(parts, tables, strict=True):
            assert np.array_equal(value, part.of(table.weight.value))


def test_ids_out_of_range_are_told_as_in_one_process():
    def work(comm):
        with sharded(comm, "row"):
            model = dlrm()
        batch = one_hot(4)
        batch.sparse[3, 1] = 7 + comm.rank  # of rank 0 as well
        model.forward(batch)

    with pytest.raises(IndexError, match=r"table 1: id [78] out of range \[0, 7\), at sample 3"):
        run(2, work)


def test_a_model_of_which_only_some_tables_are_sharded_is_refused():
    def work(comm):
        model = md.DeepFM(4, SIZES)
        with sharded(comm, "table"):
            model.fields = md.DeepFM(4, SIZES).fields
        md.predict(model, one_hot(4))

    with pytest.raises(ValueError, match=r"linear\.fields\.tables is not sharded"):
        run(2, work)


# Training: the same bits


@pytest.mark.parametrize(
    ("optimizer", "by", "ranks", "rows"),
    [
        ("rowwise", "column", 4, one_hot(200)),
        ("adam", "row", 2, bags(200)),
        ("adagrad", "table", 8, bags(200)),
    ],
)
def test_ranks_learn_the_bits_of_one_process(optimizer, by, ranks, rows):
    assert [blocks_for(dlrm(), n) for n in (64, 8, 7)] == [8, 2, 1]
    alone, _ = trained(None, None, dlrm, rows, OPTIMIZERS[optimizer](), batch_size=64)
    assert on_ranks(ranks, by, dlrm, rows, optimizer, batch_size=64) == alone


@pytest.mark.slow
@pytest.mark.parametrize("by", WAYS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_fifty_steps_have_one_hash_on_any_number_of_ranks(by, optimizer):
    everything = LONG or optimizer == "adam"
    for rows, numbers in (
        (one_hot(1580), (1, 2, 4, 8) if everything else (4,)),
        (bags(1580), (2, 8) if LONG else (2,)),
    ):
        options = {"batch_size": 64, "epochs": 2}
        alone, history = trained(None, None, dlrm, rows, OPTIMIZERS[optimizer](), **options)
        assert history.records[-1]["step"] == 50
        for ranks in numbers:
            assert on_ranks(ranks, by, dlrm, rows, optimizer, **options) == alone, ranks


def test_ranks_without_a_block_answer_the_others():
    assert blocks_for(dlrm(), 7) == 1
    alone, _ = trained(None, None, dlrm, one_hot(24), md.Adam(0.01), batch_size=7)
    for by in WAYS:
        assert on_ranks(4, by, dlrm, one_hot(24), "adam", batch_size=7) == alone


@pytest.mark.parametrize(
    "make",
    [
        lambda: md.WideDeep(4, SIZES, 8, (8,), crosses=[(0, 1)]),
        lambda: dlrm(qr_threshold=40),
        lambda: md.LogisticRegression(4, SIZES),
        lambda: md.XDeepFM(4, SIZES, 4, (32,), (8,)),
    ],
)
def test_every_model_with_tables_can_be_sharded(make):
    alone, _ = trained(None, None, make, one_hot(70), md.Adagrad(0.05), batch_size=32)
    for by in WAYS:
        assert on_ranks(2, by, make, one_hot(70), "adagrad", batch_size=32) == alone


@pytest.mark.parametrize(
    ("by", "ranks"),
    [
        ("row", 2),
        pytest.param("column", 4, marks=pytest.mark.slow),
        pytest.param("table", 8, marks=pytest.mark.slow),
    ],
)
def test_early_stopping_and_clipping_have_the_same_bits(by, ranks):
    options = {"batch_size": 64, "epochs": 8, "eval_every": 1, "patience": 2}
    options |= {"max_grad_norm": 0.05, "valid": one_hot(50, seed=1)}
    alone, history = trained(None, None, dlrm, one_hot(100), md.Adam(0.05), **options)
    assert history.stopped_early

    def work(comm):
        return trained(comm, by, dlrm, one_hot(100), md.Adam(0.05), **options)

    results = run(ranks, work)
    assert results[0][0] == alone  # rank 0 has the hash
    for _, told in results:
        assert told.records[-1]["grad_norm"] == history.records[-1]["grad_norm"]
        assert told.column("valid_auc") == history.column("valid_auc")


def test_another_order_of_sums_on_one_rank_is_seen_in_the_hash(monkeypatch):
    rows = one_hot(320)
    assert blocks_for(dlrm(), 32) == 4

    def work(comm):
        return trained(comm, "table", dlrm, rows, md.SGD(0.1), batch_size=32)[0]

    right = run(4, work)[0]

    def broken(self, x, busy=None, what="all reduce", add=np.add):
        parts = self.all_gather(x, [len(x)] * self.size, what)
        if self.rank == 0:  # from left to right, and not as a tree
            return add(add(add(parts[0], parts[1]), parts[2]), parts[3])
        return add(add(parts[0], parts[1]), add(parts[2], parts[3]))

    monkeypatch.setattr(Communicator, "all_reduce", broken)
    assert run(4, work)[0] != right


def test_ranks_whose_copies_differ_are_not_saved(tmp_path):
    def work(comm):
        with sharded(comm, "table"):
            model = dlrm()
        model.top.layers[0].bias.value[0] += comm.rank == 1
        md.save(model, tmp_path / "model")

    with pytest.raises(RuntimeError, match=r"ranks \d and \d have other weights"):
        run(4, work)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("by", WAYS)
def test_predictions_have_the_same_bits_on_all_ranks(by):
    rows, model = one_hot(200), dlrm()
    alone = md.predict(model, rows, batch_size=64), md.evaluate(model, rows)

    def work(comm):
        with sharded(comm, by):
            model = dlrm()
        return md.predict(model, rows, batch_size=64), md.evaluate(model, rows)

    for output, scores in run(4, work):
        assert np.array_equal(output, alone[0])
        assert scores == alone[1]


def test_a_loss_of_ones_own_is_given_the_whole_batch():
    class Squares:
        reduction = "mean"

        def forward(self, y, label):
            self.dy = 2 * (y - label) / len(y)
            return float(((y - label) ** 2).mean())

        def backward(self):
            return self.dy

    options = {"batch_size": 64, "loss": Squares()}
    alone, _ = trained(None, None, dlrm, one_hot(100), md.SGD(0.1), **options)

    def work(comm):
        return trained(comm, "row", dlrm, one_hot(100), md.SGD(0.1), batch_size=64, loss=Squares())

    assert run(2, work)[0][0] == alone


def test_ranks_show_one_progress_bar(capsys):
    def work(comm):
        with sharded(comm, "row"):
            model = dlrm()
        md.fit(model, one_hot(64), batch_size=32)

    run(4, work)
    assert capsys.readouterr().err.count("training:   0%|") == 1


def test_a_rank_has_one_thread_and_another_number_is_refused():
    def work(comm):
        with sharded(comm, "row"):
            model = dlrm()
        with pytest.raises(ValueError, match="workers is 2: a rank has one thread"):
            md.predict(model, one_hot(4), workers=2)
        md.fit(model, one_hot(4), workers=2, progress=False)

    with pytest.raises(ValueError, match="workers is 2: a rank has one thread"):
        run(2, work)


@pytest.mark.parametrize(("ranks", "count"), [(1, 4), (2, 4), (4, 4), (8, 4), (4, 1)])
def test_blocks_are_shared_out_as_subtrees(ranks, count):
    mine = run(ranks, lambda comm: list(own_blocks(comm, count)))
    assert [k for each in mine for k in each] == list(range(count))
    assert len({len(each) for each in mine if each}) == 1


def test_a_rank_reads_its_own_rows_alone(monkeypatch):
    read, take = defaultdict(list), Rows.__getitem__

    def told(self, rows):
        read[threading.current_thread().name] += np.asarray(self.numbers[rows]).tolist()
        return take(self, rows)

    monkeypatch.setattr(Rows, "__getitem__", told)
    run(4, lambda comm: trained(comm, "row", dlrm, one_hot(128), md.SGD(0.1), batch_size=64))
    assert [len(rows) for rows in read.values()] == [32] * 4
    assert sorted(n for rows in read.values() for n in rows) == list(range(128))


# Bytes


@pytest.mark.parametrize("ranks", [1, 2, 4, 8])
@pytest.mark.parametrize("by", WAYS)
def test_counted_bytes_are_those_of_the_formulas(by, ranks):
    batch, tables, dim, rows = 32, len(SIZES), 8, one_hot(32)
    count = blocks_for(dlrm(), batch)
    assert count == 4

    def one_step(comm):
        with sharded(comm, by):
            model = dlrm()
        md.fit(model, rows, optimizer=md.SGD(0.1), batch_size=batch, progress=False)
        return comm.totals()

    totals = run(ranks, one_step)[0]
    sent = {name: s.bytes for name, s in totals.items()}
    dense = sum(p.value.size for p in dlrm().parameters()[1:])
    share = (ranks - 1) / ranks
    depth = ranks.bit_length() - 1
    assert sent.get("all reduce", 0) == 4 * dense * ranks * depth  # a butterfly
    plan = next(p for p in planned(ranks, batch, count) if p.by == by)
    if by == "row":
        (shuffled,) = md.data.minibatches(rows, batch, (0, 0))
        ids = foreign(shuffled, ranks, count)
        assert (sent["ids"], sent["vectors"], sent["gradients"]) == (8 * ids, 32 * ids, 32 * ids)
        assert all(sent[name] <= plan.sent[name] for name in sent)
        return
    assert {name: sent.get(name, 0) for name in plan.sent} == plan.sent
    if ranks <= count:  # and no rank is without a table, or without samples
        assert sum(totals[name].messages for name in plan.sent if name in totals) == (
            ranks * plan.messages
        )
    if ranks <= count:
        assert sent["vectors"] == sent["gradients"] == 4 * batch * tables * dim * share
        travels = 8 * batch * tables * (share if by == "table" else ranks - 1)
        assert sent["ids"] == travels


@pytest.mark.parametrize("ranks", [2, 4, 8])
@pytest.mark.parametrize("by", ["table", "column"])
def test_counted_bytes_of_bags_are_those_of_the_formulas(by, ranks):
    rows = bags(32)
    (shuffled,) = md.data.minibatches(rows, 32, (0, 0))
    lengths = np.diff(shuffled.sparse.offsets).reshape(len(SIZES), 32)  # (T, B)

    def one_step(comm):
        with sharded(comm, by):
            model = dlrm()
        md.fit(model, rows, optimizer=md.SGD(0.1), batch_size=32, progress=False)
        return comm.totals()

    sent = {name: s.bytes for name, s in run(ranks, one_step)[0].items()}
    away = np.zeros((len(SIZES), 32), int)  # (T, B): how many ranks a bag is sent to
    parts, busy = shared_out(by, SIZES, 8, ranks), min(ranks, 4)  # K = 4
    first = np.cumsum([0, *SIZES])[:-1]
    for r, part in enumerate(parts):
        has = [any(a <= row < b for a, b in part.rows) for row in first]
        away[has] += np.arange(32) * busy // 32 != r
    assert sent["ids"] == 8 * (away * lengths).sum()
    assert sent["weights"] == 4 * (away * lengths).sum()
    assert sent["bags"] == 8 * away.sum()
    pieces = ranks if by == "column" else 1
    assert sent["vectors"] == sent["gradients"] == 4 * 8 // pieces * away.sum()


def planned(ranks, batch, count):
    return planning.plans(planning.outline(dlrm), ranks, batch, count)


def foreign(rows, ranks, count):
    """Count the rows that the blocks of each rank ask of others, each once a block."""
    owner = np.empty(sum(SIZES), int)
    for r, part in enumerate(shared_out("row", SIZES, 8, ranks)):
        for first, last in part.rows:
            owner[first:last] = r
    starts = np.cumsum([0, *SIZES])[:-1]
    total = 0
    for k in range(count):
        block = rows.sparse[len(rows) * k // count : len(rows) * (k + 1) // count] + starts
        total += (owner[np.unique(block)] != k * min(ranks, count) // count).sum()
    return int(total)


# Plans


def test_the_plan_takes_rows_when_a_table_is_larger_than_a_rank():
    model = planning.outline(lambda: md.DLRM(13, [10**8, 10, 10], 16, (64,), (64,)))
    plans = planning.plans(model, 4, 1024, 4)
    chosen, why = planning.choose(plans, room=2 * 2**30)
    assert chosen.by == "row"
    assert "by table a rank would need" in why
    assert planning.choose(plans, room=8 * 2**30, by="column")[0].by == "column"
    with pytest.raises(ValueError, match=r"a rank would need .* MiB by table, and has 2,048"):
        planning.choose(plans, room=2 * 2**30, by="table")
    with pytest.raises(ValueError, match="take more ranks"):
        planning.choose(plans, room=2**20)


def test_long_bags_are_dear_by_row_since_rows_travel():
    model = planning.outline(dlrm)
    table, row, column = planning.plans(model, 4, 1024, 4, per_bag=10.0)
    assert row.sent["vectors"] == 10 * planned(4, 1024, 4)[1].sent["vectors"]
    assert table.sent["vectors"] == column.sent["vectors"] < row.sent["vectors"]
    assert planning.choose([table, row, column], room=2**30)[0].by == "table"


@pytest.mark.parametrize("by", WAYS)
def test_the_memory_of_a_plan_is_what_ranks_hold(by):
    plan = next(p for p in planned(4, 1024, 4) if p.by == by)

    def work(comm):
        with sharded(comm, by):
            model = dlrm()
        dense = sum(p.value.nbytes for p in model.parameters()[1:])
        return sum(p.value.nbytes for p in model.parameters()) + dense

    assert plan.memory == max(run(4, work))


def test_a_plan_counts_the_state_of_the_optimizer_as_it_is():
    model = planning.outline(dlrm)
    sizes = {}
    for name, make in OPTIMIZERS.items():
        sizes[name] = planning.plans(model, 1, 1024, 4, make())[0].memory
    table, dense = 4 * 8 * sum(SIZES), sum(p.value.nbytes for p in dlrm().parameters()[1:])
    assert sizes["sgd"] == table + 2 * dense
    assert sizes["adagrad"] == 2 * table + 3 * dense
    assert sizes["rowwise"] == table + table // 8 + 3 * dense  # one number a row
    assert sizes["adam"] == 3 * table + 4 * dense


def test_more_ranks_than_cores_or_blocks_are_warned_of_once(capsys, monkeypatch):
    monkeypatch.setattr(command, "ranks_here", lambda: 8)
    monkeypatch.setattr(command, "cores", lambda: 2)
    rows = SimpleNamespace(train=one_hot(64))
    settings = SimpleNamespace(batch_size=32, make_optimizer=lambda _: md.Adam())
    run(8, lambda comm: command.build(comm, dlrm, rows, settings, "row"))
    told = capsys.readouterr().out
    assert told.count("tables by row on 8 ranks: by table ") == 1
    assert told.count("warning: a batch of 32 rows is 4 blocks: 4 of 8 ranks hold tables") == 1
    assert told.count("warning: 8 ranks on 2 cores: they wait for each other") == 1


# Checkpoints


@pytest.mark.parametrize("by", WAYS)
def test_a_sharded_checkpoint_has_the_content_of_one_file(by, tmp_path):
    rows, optimizer = one_hot(100), md.RowwiseAdagrad(0.05)
    model = dlrm()
    md.fit(model, rows, optimizer=optimizer, batch_size=50, progress=False)
    md.save(model, tmp_path / "one.safetensors", optimizer)
    want = content_digest(*pack(model, optimizer))

    def save(comm):
        with sharded(comm, by):
            model = dlrm()
        optimizer = md.RowwiseAdagrad(0.05)
        md.fit(model, rows, optimizer=optimizer, batch_size=50, progress=False)
        for _ in range(2):  # the second takes the place of the first
            md.save(model, tmp_path / "model", optimizer)

    def load(comm, other, path):
        again = md.RowwiseAdagrad(0.05)
        with sharded(comm, other):
            model = md.load(path, optimizer=again)
        return folder.content(model, *pack(model, again))

    run(4, save)
    index = json.loads((tmp_path / "model" / "index.json").read_text())
    assert index["content"] == want
    assert sorted(index["files"]) == sorted(p.name for p in (tmp_path / "model").glob("rank-*"))
    again = md.RowwiseAdagrad(0.05)
    assert content_digest(*pack(md.load(tmp_path / "model", optimizer=again), again)) == want
    for other, ranks in (("row", 2), ("column", 4), ("table", 8)):
        for path in (tmp_path / "model", tmp_path / "model" / "index.json"):
            assert run(ranks, load, other, path)[0] == want
    assert run(2, load, "row", tmp_path / "one.safetensors")[0] == want


def test_a_rank_reads_its_part_of_a_file_alone(tmp_path, monkeypatch):
    rows, optimizer, read = one_hot(100), md.RowwiseAdagrad(0.05), []
    model = dlrm()
    md.fit(model, rows, optimizer=optimizer, batch_size=50, progress=False)
    md.save(model, tmp_path / "one.safetensors", optimizer)
    was = folder.Pieces.read

    def watched(piece, wanted=None):
        read.append((piece.name, was(piece, wanted)))
        return read[-1][1]

    def load(comm):
        again = md.RowwiseAdagrad(0.05)
        with sharded(comm, "row"):
            model = md.load(tmp_path / "one.safetensors", optimizer=again)
        return len(model.embeddings.weight.value)

    monkeypatch.setattr(folder.Pieces, "read", watched)
    held = run(4, load)
    for name in ("embeddings.weight", "optimizer.embeddings.weight.square_mean"):
        assert sorted(len(array) for n, array in read if n == name) == sorted(held)
    assert sum(held) == sum(SIZES)


def test_a_damaged_file_of_a_rank_is_refused(tmp_path):
    def save(comm):
        with sharded(comm, "row"):
            md.save(dlrm(), tmp_path / "model")

    run(2, save)
    path = tmp_path / "model" / "rank-1.safetensors"
    whole = bytearray(path.read_bytes())
    whole[-1] ^= 1
    path.write_bytes(whole)
    with pytest.raises(ValueError, match=r"damaged: .*rank-1"):
        md.load(tmp_path / "model")
    path.unlink()
    with pytest.raises(ValueError, match="rank-1"):
        md.load(tmp_path / "model")


def test_a_crash_while_saving_leaves_the_checkpoint_of_before(tmp_path, monkeypatch):
    def save(comm, seed):
        with sharded(comm, "row"):
            md.save(md.DLRM(4, SIZES, 8, (8,), (8,), seed=seed), tmp_path / "model")

    run(2, save, 1)
    monkeypatch.setattr(folder, "replacing", lambda path: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(2, save, 2)
    values = md.load(tmp_path / "model").state_dict()["embeddings.weight"]
    assert np.array_equal(values, md.DLRM(4, SIZES, 8, (8,), (8,), seed=1).embeddings.weight.value)


def test_a_run_goes_on_at_another_number_of_ranks(tmp_path):
    rows, options = one_hot(100), {"batch_size": 50, "epochs": 2, "patience": 9}
    options |= {"valid": one_hot(50, seed=1), "eval_every": 1}
    alone, _ = trained(None, None, dlrm, rows, md.Adam(0.01), **options)
    path = tmp_path / "run"

    def stop(record):
        if record["step"] == 3:
            raise InterruptedError

    def first(comm):
        more = {"checkpoint": path, "checkpoint_every": 1, "callback": stop}
        return trained(comm, "column", dlrm, rows, md.Adam(0.01), **options, **more)

    def second(comm, lr=0.01):
        more = {"checkpoint": path, "checkpoint_every": 1, "resume": True}
        return trained(comm, "row", dlrm, rows, md.Adam(lr), **options, **more)

    with pytest.raises(InterruptedError):
        run(4, first)
    assert run(2, second)[0][0] == alone
    with pytest.raises(ValueError, match="lr"):
        run(2, second, 0.02)


def test_state_arrays_are_of_the_rows_that_a_rank_holds():
    def work(comm):
        with sharded(comm, "row"):
            model = dlrm()
        optimizer = md.Adam(0.01)
        md.fit(model, one_hot(100), optimizer=optimizer, batch_size=50, progress=False)
        return len(state_arrays(model, optimizer)["optimizer.embeddings.weight.m"])

    assert sum(run(4, work)) == sum(SIZES)


# Cost


def test_alpha_and_beta_are_found_again():
    sizes = [8, 4096, 10**6]
    network = cost.fitted(sizes, [2e-6 + 3e-10 * n for n in sizes])
    assert network.alpha == pytest.approx(2e-6)
    assert network.beta == pytest.approx(3e-10)


def test_messages_are_measured_between_two_ranks():
    first, second = run(2, lambda comm: cost.measured(comm, rounds=2))
    assert first == second
    assert first.alpha + first.beta > 0
    with pytest.raises(ValueError, match="one rank sends no messages"):
        run(1, cost.measured)


def test_seconds_fall_with_work_and_rise_with_messages():
    work, network = cost.Work(1.0, 0.1, 0.01, blocks=4), cost.Network(1e-3, 1e-9)
    steps = []
    for ranks in (1, 2, 4, 8, 1024):
        (plan, *_) = planned(ranks, 1024, 4)
        steps.append((ranks, cost.seconds(plan, work, network, ranks)))
    spent = [parts["work"] for _, parts in steps]
    assert spent == pytest.approx([1.11, 0.56, 0.285, 0.285, 0.285])  # K = 4
    assert steps[0][1]["messages"] == steps[0][1]["bytes"] == 0
    assert cost.takes_over(steps) == 1024
    assert cost.takes_over(steps[:4]) is None


def test_the_busiest_rank_is_the_one_with_the_table_of_all():
    model = planning.outline(lambda: md.DLRM(4, [100], 8, (16,), (16,), interaction="cat"))
    plan, *_ = planning.plans(model, 4, 1024, 4)
    dense = sum(p.value.nbytes for p in model.parameters()[1:])
    assert plan.busiest == 768 * (8 + 2 * 4 * 8) + 2 * dense  # rank 0 serves the samples of 3


def test_a_file_whose_schema_knows_no_value_is_read_on_ranks(tmp_path):
    rows = {"click": [0, 1] * 10, "x": range(20), "city": [f"c{k}" for k in range(20)]}
    read = md.data.read_table(rows, label="click", dense=["x"], sparse=["city"], progress=False)
    assert read.table_sizes == [1]  # each city is rare
    model = md.DLRM(1, read.table_sizes, 4, (4,), (4,))
    md.save(model, tmp_path / "one.safetensors", schema=read.schema)

    def load(comm):
        with sharded(comm, "row"):
            return md.load(tmp_path / "one.safetensors").num_parameters()

    assert len(run(2, load)) == 2


class Clock:
    """A clock for each rank, which moves when it is told to."""

    def __init__(self):
        self.here = threading.local()

    def perf_counter(self):
        return getattr(self.here, "now", 0.0)

    def takes(self, seconds):
        def move(*_, **__):
            self.here.now = self.perf_counter() + seconds(*_)

        return move


def test_the_parts_of_a_step_are_timed_on_all_ranks_at_once_and_the_slowest_counts(monkeypatch):
    clock, config = Clock(), {**dlrm().config, "table_sizes": list(SIZES)}
    monkeypatch.setattr(costs, "time", clock)
    monkeypatch.setattr(costs, "measured", lambda comm: cost.Network(1e-6, 1e-9))
    slow = {}
    take = clock.takes(lambda blocks, _: 8.0 * slow[threading.get_ident()])
    monkeypatch.setattr(RankBlocks, "take", take)
    monkeypatch.setattr(RankBlocks, "grad_norm", clock.takes(lambda _: 1.0))
    step = clock.takes(lambda _, given: 2.0 if len(given) == 1 else 0.5)
    monkeypatch.setattr(costs.Adagrad, "step", step)
    turns = []

    def work(comm):
        slow[threading.get_ident()] = 1 + comm.rank
        alone = _InProcess(0, _World(1))
        return costs.measure(comm, alone, "DLRM", config, 64, lambda: turns.append(comm.rank))

    for found, network in run(2, work):
        assert found == cost.Work(17.0, 2.0, 0.5, blocks_for(dlrm(), 64))
        assert network == cost.Network(1e-6, 1e-9)
    assert sorted(turns) == [0, 0, 1, 1]


def test_without_mpi_a_step_is_measured_in_this_process(monkeypatch):
    monkeypatch.setattr(costs, "mpiexec", Mock(side_effect=FileNotFoundError))
    monkeypatch.setattr(costs, "_LEAST", 0.0)
    model = planning.outline(dlrm)
    work, network, where = costs.measured_here(model, 64, ranks=4)
    assert min(work.walk, work.tables, work.dense) > 0
    assert network.alpha + network.beta > 0
    assert "since processes over MPI did not answer" in where


@pytest.mark.slow
def test_the_step_that_is_timed_is_that_of_processes_over_mpi(monkeypatch):
    pytest.importorskip("mpi4py")
    monkeypatch.setattr(costs, "run", lambda *_: pytest.fail("in this process"))
    work, network, where = costs.measured_here(planning.outline(dlrm), 64, ranks=16)
    assert min(work.walk, work.tables, work.dense) > 0
    assert network.alpha + network.beta > 0
    assert re.fullmatch(r"\d+ processes at once, over MPI", where)


def test_show_prints_each_plan(capsys, monkeypatch):
    found = cost.Work(0.4, 0.1, 0.05, blocks_for(dlrm(), 64)), cost.Network(1e-6, 1e-9)
    monkeypatch.setattr(costs, "measured_here", lambda *_: (*found, "a test"))

    def make(sizes):
        return md.DLRM(4, list(sizes), 8, (16,), (16,))

    costs.show_ranks(Console(width=200), make, SIZES, 4, 64)
    told = capsys.readouterr().out
    for by, plan in zip(WAYS, planned(4, 64, blocks_for(dlrm(), 64)), strict=True):
        (line,) = [x.split() for x in told.splitlines() if x.split()[:1] == [by]]
        assert line[2:4] == [f"{plan.bytes / 1e6:,.2f}", f"{plan.messages:,}"]
        assert line[6] == f"{1e3 * cost.seconds(plan, *found, 4)['step']:,.2f}"
    assert "measured here, in a test: the work of a whole step on one core, 550.00 ms" in told
    assert "Computed: everything in the table" in told
