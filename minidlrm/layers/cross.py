"""CrossNetwork: the cross layers of DCN, in their three forms."""

import numpy as np

from minidlrm import kernels
from minidlrm.module import Module, Parameter


class CrossLayer(Module):
    r"""One cross layer: the first input times a linear map of the last, plus the last.

    - "vector" (DCN): :math:`y = x_0 \langle x, w \rangle + b + x`
    - "matrix" (DCN v2): :math:`y = x_0 \odot (W x + b) + x`
    - "matrix" of low rank r: :math:`y = x_0 \odot (U V^\top x + b) + x`

    Parameters
    ----------
    in_features : int
        d, the size of x.
    kind : "vector" or "matrix"
        Which form.
    rank : int, optional
        r, for the low-rank form.
    rng : numpy.random.Generator, optional
        Draws the weights from N(0, 1/sqrt(d)) (for V and U: 1/sqrt(d) and 1/sqrt(r)).
    dtype : dtype
        Of the parameters.

    Raises
    ------
    ValueError
        When `in_features` is below 1, `kind` is not known, or `rank` is not in [1, in_features] or
        comes with "vector".

    References
    ----------
    Wang et al. 2017, "Deep & cross network for ad click predictions", equation 3 (vector);
    Wang et al. 2021, "DCN V2: Improved deep & cross network and practical lessons for web-scale
    learning to rank systems", arXiv 2008.13535, equation 1 (matrix).

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> x = np.ones((2, 3), np.float32)
    >>> md.layers.CrossLayer(3, "matrix").forward(x, x).shape
    (2, 3)
    """

    def __init__(
        self,
        in_features: int,
        kind: str = "matrix",
        rank: int | None = None,
        *,
        rng: np.random.Generator | None = None,
        dtype=np.float32,
    ):
        if kind not in ("vector", "matrix"):
            raise ValueError(f"cross is {kind!r}: it must be 'vector' or 'matrix'")
        if in_features < 1:
            raise ValueError(f"in_features is {in_features}: it must be at least 1")
        if rank is not None and (kind == "vector" or not 1 <= rank <= in_features):
            raise ValueError(f"rank is {rank}: it must lie in [1, {in_features}], with 'matrix'")
        rng = rng or np.random.default_rng(0)
        d, std = in_features, 1 / np.sqrt(in_features)
        self.kind, self.rank = kind, rank
        self.down: Parameter | None = None
        if rank is not None:
            self.down = Parameter(rng.normal(0, std, (rank, d)).astype(dtype), "down")
        width, std = (d, std) if rank is None else (rank, 1 / np.sqrt(rank))
        rows = 1 if kind == "vector" else d
        self.weight = Parameter(rng.normal(0, std, (rows, width)).astype(dtype), "weight")
        self.bias = Parameter(np.zeros(d, dtype), "bias")
        self.equation = {
            "vector": r"y = x_0 \langle x, w \rangle + b + x",
            "matrix": r"y = x_0 \odot (W x + b) + x",
        }[kind]

    def forward(self, x0: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Compute y (B, d) from x0 and x (B, d); ValueError on another shape."""
        x0, x = np.asarray(x0), np.asarray(x)
        d = len(self.bias.value)
        if x0.shape != x.shape or x.ndim != 2 or x.shape[1] != d:
            raise ValueError(f"CrossLayer: x0 {x0.shape} and x {x.shape}: expected (B, {d})")
        h = x if self.down is None else x @ self.down.value.T  # (B, d) or (B, r)
        g = h @ self.weight.value.T  # (B, d), or (B, 1) for the vector
        kernel = kernels.cross_vector if self.kind == "vector" else kernels.cross_matrix
        y = kernel(x0, x, g, self.bias.value)  # (B, d)
        self.keep(x0, x, h, g)
        return y

    def backward(self, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        r"""Add to the gradients of the parameters; return dL/dx0 and dL/dx (B, d).

        Write :math:`y = x_0 \odot g + x`, where g = W x + b (for the vector, g is the number
        :math:`\langle x, w \rangle`, and b is added to y instead).

        1. :math:`dx_0 = dy \odot g`.
        2. :math:`dg = dy \odot x_0`; for the vector the one number serves all d entries, so
           :math:`dg = \sum_i dy_i x_{0,i}`.
        3. :math:`dW = \sum_b dg\, x^\top`, and :math:`db = \sum_b dg` (vector:
           :math:`\sum_b dy`).
        4. x reaches y through g and by itself: :math:`dx = W^\top dg + dy`.
        5. Low rank: :math:`g = U h + b` with :math:`h = V^\top x`; then
           :math:`dU = \sum_b dg\, h^\top`, :math:`dh = U^\top dg`,
           :math:`dV^\top = \sum_b dh\, x^\top`, :math:`dx = V dh + dy`.
        """
        x0, x, h, g = self.kept()
        dy = self.check_dy(dy, x.shape)
        weight = self.weight.value
        if self.kind == "vector":
            dg = np.einsum("bi,bi->b", dy, x0)[:, None]  # (B, 1), without the array dy * x0
            dx0, dx, dbias = kernels.cross_vector_backward(dy, g, dg, weight)  # dx: (B, d)
        else:
            dx0, dg, dbias = kernels.cross_matrix_backward(dy, x0, g)  # dg: (B, d)
            dx = dg @ weight  # (B, d) or (B, r)
            if self.down is not None:
                self.down.add_grad(dx.T @ x)
                dx = dx @ self.down.value  # (B, d)
            dx += dy
        self.weight.add_grad(dg.T @ h)
        self.bias.add_grad(dbias)
        return dx0, dx

    def flops_per_sample(self) -> int:
        """Return 5 d (vector), 2 d^2 + 3 d (matrix), or 4 d r + 3 d (low rank)."""
        d = len(self.bias.value)
        if self.kind == "vector":
            return 5 * d
        return 2 * self.weight.value.size * (1 if self.down is None else 2) + 3 * d

    def bytes_per_sample(self) -> int:
        """Return the bytes of x0, x and y."""
        return 3 * self.bias.value.nbytes

    def __repr__(self) -> str:
        return f"CrossLayer({len(self.bias.value)}, {self.kind!r}, {self.rank})"


class CrossNetwork(Module):
    r"""Cross layers one after the other, all with the same :math:`x_0`.

    L layers hold all products of up to L + 1 entries of :math:`x_0`.

    Parameters
    ----------
    in_features : int
        d.
    num_layers : int
        L.
    kind, rank
        As `CrossLayer`.
    rng, dtype
        As `CrossLayer`.

    Raises
    ------
    ValueError
        When `num_layers` is below 1; and as `CrossLayer`.

    References
    ----------
    As `CrossLayer`: Wang et al. 2017 ("vector") and 2021 ("matrix").

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> net = md.CrossNetwork(3, num_layers=2, kind="vector")
    >>> net.forward(np.ones((2, 3), np.float32)).shape, net.num_parameters()
    ((2, 3), 12)
    """

    equation = r"x_{l+1} = x_0 \odot (W_l x_l + b_l) + x_l"

    def __init__(
        self,
        in_features: int,
        num_layers: int,
        kind: str = "matrix",
        rank: int | None = None,
        *,
        rng: np.random.Generator | None = None,
        dtype=np.float32,
    ):
        if num_layers < 1:
            raise ValueError(f"num_cross_layers is {num_layers}: it must be at least 1")
        rng = rng or np.random.default_rng(0)
        self.layers = [
            CrossLayer(in_features, kind, rank, rng=rng, dtype=dtype) for _ in range(num_layers)
        ]

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Compute the last layer's output (B, d) from x (B, d)."""
        y = x
        for layer in self.layers:
            y = layer.forward(x, y)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        r"""Add to the gradients of all layers; return dL/dx (B, d).

        Layer k makes :math:`x_k` of :math:`x_0` and :math:`x_{k-1}`. Go from k = L down to 1, with
        :math:`dx_L = dy`:

        1. `CrossLayer.backward` makes of :math:`dx_k` the gradients :math:`dx_{k-1}`, and
           :math:`dx_0^{(k)}`, that of :math:`x_0` in this layer.
        2. :math:`x_0` goes into every layer, so these add up. It is the first layer's x as well,
           whose gradient step 1 gives as :math:`dx_0`. So :math:`dx = dx_0 + \sum_k dx_0^{(k)}`.
        """
        dx0, dy = self.layers[-1].backward(dy)
        for layer in reversed(self.layers[:-1]):
            part, dy = layer.backward(dy)
            dx0 += part
        dx0 += dy
        return dx0

    def __repr__(self) -> str:
        return f"CrossNetwork({len(self.layers)} × {self.layers[0]})"
