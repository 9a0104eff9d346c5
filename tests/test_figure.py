"""diagram: the boxes and arrows of every model, found by running it."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

import minidlrm as md
from minidlrm.figure.graph import DENSE, OUTPUT, SPARSE, SUM, graph_of

SIZES = [50, 6, 9]
MODELS = {
    "DLRM": lambda: md.DLRM(5, SIZES, 4, (8,), (8,)),
    "DLRM, cat": lambda: md.DLRM(5, SIZES, 4, (8,), (8,), interaction="cat"),
    "DLRM, cross": lambda: md.DLRM(5, SIZES, 4, (8,), (8,), interaction="cross"),
    "DLRM, QR": lambda: md.DLRM(5, SIZES, 4, (8,), (8,), qr_threshold=20),
    "DLRM, no dense": lambda: md.DLRM(0, SIZES, 4, (8,), (8,)),
    "LR": lambda: md.LogisticRegression(5, SIZES),
    "FM": lambda: md.FactorizationMachine(5, SIZES, 4),
    "MLP": lambda: md.MLPModel(5, SIZES, 4, (8,)),
    "Wide & Deep": lambda: md.WideDeep(5, SIZES, 4, (8,), crosses=[(0, 1)]),
    "DeepFM": lambda: md.DeepFM(5, SIZES, 4, (8,)),
    "DCN": lambda: md.DCN(5, SIZES, 4, 2, "vector", (8,)),
    "DCN, stacked": lambda: md.DCN(5, SIZES, 4, 2, "matrix", (8,), structure="stacked"),
    "xDeepFM": lambda: md.XDeepFM(5, SIZES, 4, (4, 4), (8,)),
    "MF": lambda: md.MatrixFactorization(SIZES[:2], 4),
    "GMF": lambda: md.GMF(SIZES[:2], 4),
    "NeuMF": lambda: md.NeuMF(SIZES[:2], 4, (8,)),
}

ARROWS = {
    "DLRM": {
        (SPARSE, "embeddings"),
        (DENSE, "bottom"),
        ("embeddings", "interaction"),
        ("bottom", "interaction"),
        ("bottom", "top"),
        ("interaction", "top"),
        ("top", OUTPUT),
    },
    "DLRM, cat": {
        (SPARSE, "embeddings"),
        (DENSE, "bottom"),
        ("embeddings", "top"),
        ("bottom", "top"),
        ("top", OUTPUT),
    },
    "DeepFM": {
        (DENSE, "fields"),
        (SPARSE, "fields"),
        (DENSE, "linear"),
        (SPARSE, "linear"),
        ("fields", "fm"),
        ("fields", "mlp"),
        ("fm", SUM),
        ("mlp", SUM),
        ("linear", SUM),
        (SUM, OUTPUT),
    },
    "DCN": {
        (DENSE, "fields"),
        (SPARSE, "fields"),
        ("fields", "cross"),
        ("fields", "deep"),
        ("cross", "last"),
        ("deep", "last"),
        ("last", OUTPUT),
    },
    "DCN, stacked": {
        (DENSE, "fields"),
        (SPARSE, "fields"),
        ("fields", "cross"),
        ("cross", "deep"),
        ("deep", "last"),
        ("last", OUTPUT),
    },
    "NeuMF": {
        (SPARSE, "gmf_tables"),
        (SPARSE, "mlp_tables"),
        ("gmf_tables", "product"),
        ("mlp_tables", "mlp"),
        ("product", "last"),
        ("mlp", "last"),
        ("last", OUTPUT),
    },
}


@pytest.mark.parametrize("name", ARROWS)
def test_the_arrows_are_those_of_the_code(name):
    assert set(graph_of(MODELS[name]()).arrows) == ARROWS[name]


@pytest.mark.parametrize("name", MODELS)
def test_boxes_do_not_overlap_and_hold_their_text(name):
    ax = md.diagram(MODELS[name]())
    boxes = [p for p in ax.patches if isinstance(p, FancyBboxPatch)]
    nodes = graph_of(MODELS[name]()).nodes
    assert len(boxes) == len(nodes)
    for a, b in combinations([box.get_extents() for box in boxes], 2):
        assert not a.shrunk(0.98, 0.98).overlaps(b.shrunk(0.98, 0.98))
    ax.figure.canvas.draw()
    extents = [box.get_window_extent() for box in boxes]
    for text in ax.texts:
        inner = text.get_window_extent()
        assert any(
            box.x0 <= inner.x0 + 1
            and inner.x1 - 1 <= box.x1
            and box.contains(inner.x0 + 3, inner.y0)
            for box in extents
        ), text.get_text()


@pytest.mark.parametrize("name", MODELS)
def test_every_part_is_reached_from_the_inputs_and_reaches_the_output(name):
    model = MODELS[name]()
    graph = graph_of(model)
    nodes, arrows = graph.nodes, graph.arrows
    assert {child for child, _ in model.named_children()} <= set(nodes)
    for name in nodes:
        if name not in (DENSE, SPARSE):
            assert any(target == name for _, target in arrows), name
        if name != OUTPUT:
            assert any(source == name for source, _ in arrows), name


def test_shapes_and_sizes_are_written():
    nodes = graph_of(MODELS["DLRM"]()).nodes
    assert "(B, 10) → (B, 1)" in nodes["top"].lines
    assert "97 parameters" in nodes["top"].lines


def test_a_batch_of_bags_is_drawn_too():
    model = md.FactorizationMachine(2, [4, 3], 2)
    bags = md.data.Jagged([0, 3, 1, 2, 0], [0, 2, 3, 4, 5])
    graph = graph_of(model, md.data.Batch(np.ones((2, 2), np.float32), bags))
    assert (SPARSE, "fields") in graph.arrows
    assert "bags" in graph.nodes["fields"].lines[2]


def test_the_model_is_not_changed_even_after_an_error():
    model = MODELS["DLRM"]()
    before = {name: value.copy() for name, value in model.state_dict().items()}
    md.diagram(model)
    with pytest.raises(ValueError, match="dense"):
        md.diagram(model, md.data.Batch(np.ones((2, 3), np.float32), np.zeros((2, 3), int)))
    for _, part in model.named_children():
        assert "forward" not in vars(part)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_the_current_operation_is_lit():
    model = MODELS["DLRM"]()
    for phase, colour in (("forward", (0, 114, 178)), ("backward", (213, 94, 0))):
        ax = md.diagram(model, highlight="top.layers.1", phase=phase)
        thick = [p for p in ax.patches if p.get_linewidth() > 2]
        assert len(thick) == 1
        assert tuple(round(255 * c) for c in thick[0].get_facecolor()[:3]) == colour
    with pytest.raises(
        KeyError,
        match="highlight is 'middle', no module: there are dense features, sparse features",
    ):
        md.diagram(model, highlight="middle")
    with pytest.raises(ValueError, match="phase is 'sideways'"):
        md.diagram(model, phase="sideways")


def test_it_is_the_same_picture_every_time_in_png_and_svg(tmp_path):
    for kind in ("png", "svg"):
        for k in range(2):
            ax = md.diagram(MODELS["DeepFM"]())
            ax.figure.savefig(
                tmp_path / f"{k}.{kind}", metadata={"Date": None} if kind == "svg" else {}
            )
    assert (tmp_path / "0.png").read_bytes() == (tmp_path / "1.png").read_bytes()
    assert b"<svg" in (tmp_path / "0.svg").read_bytes()[:400]


def test_given_axes_are_used():
    ax = Figure(figsize=(3, 3)).subplots()
    assert md.diagram(MODELS["NeuMF"](), ax=ax) is ax
