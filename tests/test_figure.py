"""diagram: the boxes and arrows of every model, found by running it."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

import minidlrm as md
from minidlrm.figure import parts
from minidlrm.figure.drawing import table
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
    assert "bags" in graph.nodes["fields"].lines[1]


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


def drawn(name, part):
    return graph_of(MODELS[name]()).nodes[part].picture


def colours(picture):
    return [colour for _, colour in picture.fills]


def test_the_interaction_is_a_triangle_with_a_cell_for_each_pair_in_the_colours_of_its_vectors():
    cells = [points for points, _ in drawn("DLRM", "interaction").fills if len(points) == 3]
    assert len(cells) == 2 * 6  # 4 vectors: 6 pairs, in two colours each
    pairs = colours(drawn("DLRM", "interaction"))
    tables = {colour for colour in colours(drawn("DLRM", "embeddings")) if colour != parts.PAPER}
    assert set(pairs) - {parts.PAPER} == tables | {parts.DENSE_COLOUR}


def test_the_diagonal_is_drawn_where_the_layer_has_it():
    graph = graph_of(md.DLRM(5, SIZES, 4, (8,), (8,), self_interaction=True))
    cells = [points for points, _ in graph.nodes["interaction"].picture.fills if len(points) == 3]
    assert len(cells) == 2 * 10


def test_a_table_is_as_high_as_the_logarithm_of_its_rows():
    heights = [table(rows, 4, "red", [], "white").height for rows in (10, 100, 1000)]
    assert heights[2] - heights[1] == pytest.approx(heights[1] - heights[0])
    assert heights[1] > heights[0]


def test_the_rows_of_the_first_sample_are_lit():
    ids = np.array([[49, 0, 4], [0, 0, 0]])
    batch = md.data.Batch(np.ones((2, 5), np.float32), ids)
    picture = graph_of(MODELS["DLRM"](), batch).nodes["embeddings"].picture
    for t, size in enumerate(SIZES):
        place = parts.TABLE_COLOURS[t]
        mine = [points for points, colour in picture.fills if colour == place]
        column = {x for points in mine for x, _ in points}
        (paper,) = [
            points
            for points, colour in picture.fills
            if colour == parts.PAPER and points[0][0] == pytest.approx(min(column))
        ]
        low, high = paper[0][1], paper[2][1]
        lit = [points for points in mine if points[2][1] <= high + 1e-9]
        middle = (high - (lit[0][0][1] + lit[0][2][1]) / 2) / (high - low)
        assert len(lit) == 1
        assert middle == pytest.approx((ids[0, t] + 0.5) / size, abs=0.1)


def test_many_tables_are_shortened_and_many_vectors_fit():
    picture = graph_of(md.DLRM(5, [50] * 26, 4, (8,), (8,))).nodes["embeddings"].picture
    assert [text for _, _, text in picture.texts].count("50") < 26
    assert "···" in [text for _, _, text in picture.texts]
    assert picture.width < 8


def test_a_layer_that_is_not_known_is_drawn_by_its_arrays():
    class MeanVector(md.Interaction):
        num_outputs = 4

        def forward(self, z):
            return self.check_z(z).mean(axis=1)

    model = md.DLRM(5, SIZES, 4, (8,), (8,), interaction=MeanVector(4, 4))
    found = colours(graph_of(model).nodes["interaction"].picture)
    assert found.count(parts.PLAIN) == 1  # what comes out, above the four vectors that go in
    assert set(found) == {parts.PLAIN, parts.DENSE_COLOUR, *parts.TABLE_COLOURS[:3]}
