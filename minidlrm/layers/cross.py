"""CrossNetwork: the cross layers of DCN, in their three forms.

Step by step in notebooks/07_models_before.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidlrm import kernels
from minidlrm.arrays import as_dtype, check_room, check_word
from minidlrm.layers.inputs import as_size, check_rng, converted, numbers
from minidlrm.layers.interaction import Interaction
from minidlrm.module import Module, Parameter

_LAYER = 1024  # numbers whose memory a layer's objects take, however few its own are


class VectorCross(Module):
    r"""One cross layer of DCN, :math:`y = x_0 \langle x, w \rangle + b + x`.

    Parameters
    ----------
    in_features : int
        d, the size of x.
    rng : numpy.random.Generator
        Draws w (1, d) from :math:`N(0, 1/\sqrt d)`. b (d,) is 0 at first.
    dtype : dtype
        Type of the parameters.

    References
    ----------
    Wang et al. 2017, "Deep & cross network for ad click predictions", equation 3.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> x = np.ones((2, 3), np.float32)
    >>> md.VectorCross(3, rng=np.random.default_rng(0)).forward(x, x).shape
    (2, 3)
    """

    equation = r"y = x_0 \langle x, w \rangle + b + x"

    def forward(self, x0: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Compute y (B, d) from x0 and x (B, d); ValueError on another shape."""
        weight, bias = self.weight.value, self.bias.value
        x0, x = _inputs(self, x0, x, weight)
        g = x @ weight.T  # ① (B, 1), the number <x, w> of each sample
        self.keep(x0, x, g)
        return kernels.cross_vector(x0, x, g, bias.astype(x.dtype, copy=False))  # ① (B, d)

    def backward(self, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        r"""Add to the gradients of w and b; return dL/dx0 and dL/dx (B, d).

        1. Write :math:`y = x_0 g + b + x` with the number :math:`g = \langle x, w \rangle`.
        2. :math:`dx_0 = dy \cdot g`, and :math:`db = \sum_b dy`.
        3. The one number g serves all d entries: :math:`dg = \sum_i dy_i x_{0,i}`.
        4. :math:`dw = \sum_b dg\, x`.
        5. x reaches y through g and by itself: :math:`dx = dg\, w + dy`.
        """
        x0, x, g = self.kept()
        dy = converted("dy", self.check_dy(dy, x.shape), x.dtype)
        weight = self.weight.value.astype(x.dtype, copy=False)
        dg = np.einsum("bi,bi->b", dy, x0)[:, None]  # ③ (B, 1), without the array dy * x0
        dx0, dx, dbias = kernels.cross_vector_backward(dy, g, dg, weight)  # ②⑤ (B, d), (B, d), (d,)
        self.weight.add_grad(dg.T @ x)  # ④ (1, d)
        self.bias.add_grad(dbias)
        return dx0, dx

    def __init__(self, in_features: int, *, rng: np.random.Generator, dtype: Any = np.float32):
        d = as_size("in_features", in_features)
        check_rng(rng)
        check_room("in_features", d, itemsize=8)
        weight = rng.normal(0, 1 / np.sqrt(d), (1, d))
        self.weight = Parameter(weight.astype(as_dtype(dtype)), "weight")  # w
        self.bias = Parameter(np.zeros(d, dtype), "bias")  # b

    def flops_per_sample(self) -> int:
        """Return 5 d."""
        return 5 * len(self.bias.value)

    def bytes_per_sample(self) -> int:
        """Return the bytes of x0, x and y."""
        return 3 * self.bias.value.nbytes

    def __repr__(self) -> str:
        return f"VectorCross({len(self.bias.value)})"


class MatrixCross(Module):
    r"""One cross layer of DCN v2, :math:`y = x_0 \odot (W x + b) + x`.

    With `rank` r, W is the product :math:`U V^\top` of two thin matrices.

    Parameters
    ----------
    in_features : int
        d, the size of x.
    rank : int, optional
        r, in [1, d]. The default is the full W (d, d).
    rng : numpy.random.Generator
        Draws W (d, d) from :math:`N(0, 1/\sqrt d)`; or V (r, d) from it, then U (d, r) from
        :math:`N(0, 1/\sqrt r)`. b (d,) is 0 at first.
    dtype : dtype
        Type of the parameters.

    References
    ----------
    Wang et al. 2021, "DCN V2: Improved deep & cross network", arXiv 2008.13535, equations 1 and 2.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> x = np.ones((2, 3), np.float32)
    >>> md.MatrixCross(3, rank=1, rng=np.random.default_rng(0)).forward(x, x).shape
    (2, 3)
    """

    equation = r"y = x_0 \odot (W x + b) + x"

    def forward(self, x0: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Compute y (B, d) from x0 and x (B, d); ValueError on another shape."""
        weight, bias = self.weight.value, self.bias.value
        x0, x = _inputs(self, x0, x, weight)
        h = x if self.down is None else x @ self.down.value.T  # ⑤ (B, d) or (B, r)
        g = h @ weight.T  # ① (B, d)
        y = kernels.cross_matrix(x0, x, g, bias.astype(x.dtype, copy=False))  # ① adds b to g
        self.keep(x0, x, h, g)
        return y  # (B, d)

    def backward(self, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        r"""Add to the gradients of the parameters; return dL/dx0 and dL/dx (B, d).

        1. Write :math:`y = x_0 \odot g + x` with :math:`g = W x + b`.
        2. :math:`dx_0 = dy \odot g` and :math:`dg = dy \odot x_0`.
        3. :math:`dW = \sum_b dg\, x^\top`, and :math:`db = \sum_b dg`.
        4. x reaches y through g and by itself: :math:`dx = W^\top dg + dy`.
        5. Low rank: :math:`g = U h + b` with :math:`h = V^\top x`; then
           :math:`dU = \sum_b dg\, h^\top`, :math:`dh = U^\top dg`,
           :math:`dV^\top = \sum_b dh\, x^\top`, :math:`dx = V dh + dy`.
        """
        x0, x, h, g = self.kept()
        dy = converted("dy", self.check_dy(dy, x.shape), x.dtype)
        dx0, dg, dbias = kernels.cross_matrix_backward(dy, x0, g)  # ②③ (B, d), (B, d), (d,)
        dx = dg @ self.weight.value  # ④ (B, d) or (B, r)
        if self.down is not None:
            self.down.add_grad(dx.T @ x)  # ⑤ (r, d)
            dx = dx @ self.down.value  # ⑤ (B, d)
        dx += dy  # ④
        self.weight.add_grad(dg.T @ h)  # ③ (d, d) or (d, r)
        self.bias.add_grad(dbias)
        return dx0, dx

    def __init__(
        self,
        in_features: int,
        rank: int | None = None,
        *,
        rng: np.random.Generator,
        dtype: Any = np.float32,
    ):
        d = as_size("in_features", in_features)
        check_rng(rng)
        self.down: Parameter | None = None  # V, transposed
        width = d
        if rank is not None:
            width = as_size("rank", rank)
            if width > d:
                raise ValueError(f"rank is {rank}: it must lie in [1, in_features = {d}]")
        check_room("in_features", d, width, itemsize=8)
        if rank is not None:
            down = rng.normal(0, 1 / np.sqrt(d), (width, d))
            self.down = Parameter(down.astype(as_dtype(dtype)), "down")
        weight = rng.normal(0, 1 / np.sqrt(width), (d, width))
        self.weight = Parameter(weight.astype(as_dtype(dtype)), "weight")  # W, or U
        self.bias = Parameter(np.zeros(d, dtype), "bias")  # b

    def flops_per_sample(self) -> int:
        r"""Return :math:`2 d^2 + 3 d`, or :math:`4 d r + 3 d` (low rank)."""
        products = 2 * self.weight.value.size * (1 if self.down is None else 2)
        return products + 3 * len(self.bias.value)

    def bytes_per_sample(self) -> int:
        """Return the bytes of x0, x and y."""
        return 3 * self.bias.value.nbytes

    def __repr__(self) -> str:
        d, width = self.weight.value.shape
        return f"MatrixCross({d})" if self.down is None else f"MatrixCross({d}, rank={width})"


class CrossNetwork(Module):
    r"""Cross layers one after the other, all with the same :math:`x_0`.

    L layers hold all products of up to :math:`L + 1` entries of :math:`x_0`.

    Parameters
    ----------
    in_features : int
        d.
    num_cross_layers : int
        L.
    cross : "vector" or "matrix"
        Whether the layers are `VectorCross` or `MatrixCross`.
    rank : int, optional
        As `MatrixCross`; refused for "vector".
    rng, dtype
        As `MatrixCross`.

    References
    ----------
    Wang et al. 2017 ("vector") and 2021 ("matrix"), as `VectorCross` and `MatrixCross`.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> net = md.CrossNetwork(3, 2, cross="vector", rng=np.random.default_rng(0))
    >>> net.forward(np.ones((2, 3), np.float32)).shape, net.num_parameters()
    ((2, 3), 12)
    """

    equation = r"x_{l+1} = x_0 \odot (W_l x_l + b_l) + x_l"

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Compute y (B, d), the last layer's output, from x (B, d)."""
        y = x
        for layer in self.layers:
            y = layer.forward(x, y)  # ①
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        r"""Add to the gradients of all layers; return dL/dx (B, d).

        1. Layer k makes :math:`x_k` of :math:`x_0` and :math:`x_{k-1}`, for k from 1 to L.
        2. Go from L down to 1, with :math:`dx_L = dy`. `MatrixCross.backward` makes of
           :math:`dx_k` the gradients :math:`dx_{k-1}`, and :math:`dx_0^{(k)}`, that of :math:`x_0`
           in this layer.
        3. :math:`x_0` goes into every layer, so these add up. It is the first layer's x as well,
           whose gradient step 2 gives as :math:`dx_0`. So :math:`dx = dx_0 + \sum_k dx_0^{(k)}`.
        """
        dx0, dy = self.layers[-1].backward(dy)  # ②
        for layer in reversed(self.layers[:-1]):
            part, dy = layer.backward(dy)  # ②
            dx0 += part  # ③
        dx0 += dy  # ③
        return dx0

    def __init__(
        self,
        in_features: int,
        num_cross_layers: int,
        cross: str = "matrix",
        rank: int | None = None,
        *,
        rng: np.random.Generator,
        dtype: Any = np.float32,
    ):
        check_word("cross", cross, "vector", "matrix")
        if cross == "vector" and rank is not None:
            raise ValueError(f"rank is {rank}: only cross='matrix' has a rank")
        count = as_size("num_cross_layers", num_cross_layers)
        width = max(as_size("in_features", in_features), _LAYER)
        check_room("num_cross_layers or in_features", count, width)
        self.layers: list[VectorCross | MatrixCross] = []
        for _ in range(count):
            if cross == "vector":
                self.layers.append(VectorCross(in_features, rng=rng, dtype=dtype))
            else:
                self.layers.append(MatrixCross(in_features, rank, rng=rng, dtype=dtype))

    def __repr__(self) -> str:
        return f"CrossNetwork({len(self.layers)} × {self.layers[0]})"


class CrossInteraction(Interaction):
    r"""All vectors one after another, and cross layers of DCN v2 on them, as in MLPerf's DLRM.

    Parameters
    ----------
    num_features, embedding_dim : int
        F and D; the cross layers have :math:`d = FD`.
    num_cross_layers : int
        As `CrossNetwork`; MLPerf has 3.
    cross_rank : int, optional
        As `MatrixCross`; MLPerf has 512.
    rng, dtype
        As `MatrixCross`.

    References
    ----------
    MLPerf Training, benchmark DLRM-DCNv2; Wang et al. 2021, arXiv 2008.13535.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> crossed = md.CrossInteraction(2, 3, num_cross_layers=1, rng=np.random.default_rng(0))
    >>> crossed.forward(np.ones((4, 2, 3), np.float32)).shape
    (4, 6)
    """

    equation = CrossNetwork.equation
    keeps_dense = True

    def forward(self, z: np.ndarray) -> np.ndarray:
        """Compute y (B, F D) from z (B, F, D); ValueError on another shape."""
        z = self.check_z(z)
        self.keep(z.shape)
        return self.cross.forward(z.reshape(len(z), self.num_outputs))  # ① (B, F D)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        r"""Add to the gradients of all layers; return dL/dz (B, F, D) from dy (B, F D).

        1. The cross layers take the vectors one after another: :math:`x_{fD+d} = z_{fd}`.
        2. `CrossNetwork.backward` gives dx, and :math:`dz_{fd} = dx_{fD+d}`.
        """
        (shape,) = self.kept()
        dy = self.check_dy(dy, (shape[0], self.num_outputs))
        return self.cross.backward(dy).reshape(shape)  # ② (B, F, D)

    def __init__(
        self,
        num_features: int,
        embedding_dim: int,
        num_cross_layers: int = 3,
        cross_rank: int | None = None,
        *,
        rng: np.random.Generator,
        dtype: Any = np.float32,
    ):
        super().__init__(num_features, embedding_dim)
        self.num_outputs = self.num_features * self.embedding_dim
        if cross_rank is not None:
            cross_rank = as_size("cross_rank", cross_rank)
            if cross_rank > self.num_outputs:
                most = f"num_features * embedding_dim = {self.num_outputs}"
                raise ValueError(f"cross_rank is {cross_rank}: it must lie in [1, {most}]")
        count = as_size("num_cross_layers", num_cross_layers)
        check_room(
            "num_features or embedding_dim", self.num_outputs, cross_rank or self.num_outputs
        )
        self.cross = CrossNetwork(
            self.num_outputs, count, "matrix", cross_rank, rng=rng, dtype=dtype
        )
        self.config |= {"num_cross_layers": count, "cross_rank": cross_rank}


def _inputs(layer: Module, x0: Any, x: Any, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return x0 and x in one dtype; ValueError unless both are (B, d)."""
    same = x0 is x
    x = numbers("x", x, weight)
    x0 = x if same else numbers("x0", x0, x)
    x = np.asarray(x, x0.dtype)
    d = len(layer.bias.value)  # type: ignore[attr-defined]
    if x0.shape != x.shape or x.ndim != 2 or x.shape[1] != d:
        name = type(layer).__name__
        raise ValueError(f"{name}: x0 {x0.shape} and x {x.shape}: expected (B, {d})")
    return x0, x
