"""CIN: the compressed interaction network of xDeepFM."""

from collections.abc import Sequence

import numpy as np

from minidlrm.module import Module, Parameter

_CHUNK_BYTES = 4 << 20  # of outer products at a time: they stay in a cache


class CINLayer(Module):
    r"""One layer, :math:`y_h = \sum_{i,j} W_{hij}\, (x_i \odot z_j) + b_h`.

    All pairs of a vector of x and a vector of z are multiplied entry by entry, and H weighted
    sums of the products are taken: interaction by vectors, not by bits.

    Parameters
    ----------
    num_inputs : int
        Vectors of x.
    num_features : int
        F, vectors of z, the model's embeddings.
    num_maps : int
        H, vectors of y.
    rng : numpy.random.Generator, optional
        Draws W from N(0, sqrt(2 / (num_inputs F + H))).
    dtype : dtype
        Of the parameters.

    Raises
    ------
    ValueError
        When `num_maps` is below 1.

    References
    ----------
    Lian et al. 2018, "xDeepFM", equation 6.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> layer = md.layers.CINLayer(num_inputs=2, num_features=3, num_maps=4)
    >>> layer.forward(np.ones((5, 2), np.float32), np.ones((5, 3), np.float32)).shape
    (5, 4)
    """

    equation = r"y_h = \sum_{ij} W_{hij} (x_i \odot z_j) + b_h"

    def __init__(
        self,
        num_inputs: int,
        num_features: int,
        num_maps: int,
        *,
        rng: np.random.Generator | None = None,
        dtype=np.float32,
    ):
        if num_maps < 1:
            raise ValueError(f"a CIN layer has {num_maps} maps: it must have at least 1")
        rng = rng or np.random.default_rng(0)
        std = np.sqrt(2 / (num_inputs * num_features + num_maps))
        weight = rng.normal(0, std, (num_maps, num_inputs, num_features))
        self.weight = Parameter(weight.astype(dtype), "weight")
        self.bias = Parameter(np.zeros(num_maps, dtype), "bias")

    def forward(self, x: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Compute y (n, H) from x (n, num_inputs) and z (n, F), one row for each sample and d."""
        weight = self._matrix()  # (H, num_inputs F)
        y = np.empty((len(x), len(weight)), np.result_type(x, weight))  # (n, H)
        for rows in self._chunks(x, z):
            np.matmul(self._outer(x[rows], z[rows]), weight.T, out=y[rows])
        y += self.bias.value
        self.keep(x, z)
        return y

    def backward(self, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        r"""Add to the gradients of W and b; return dL/dx (n, num_inputs) and dL/dz (n, F).

        Write :math:`p_{ij} = x_i z_j` for one sample and one d, so that
        :math:`y_h = \sum_{ij} W_{hij} p_{ij} + b_h`.

        1. :math:`dW_{hij} = \sum dy_h\, p_{ij}` and :math:`db_h = \sum dy_h`, over samples and d.
           The products p are made again: keeping them would take num_inputs times the memory
           of z.
        2. From dy (n, H): :math:`dp_{ij} = \sum_h W_{hij}\, dy_h`.
        3. :math:`dx_i = \sum_j dp_{ij} z_j` and :math:`dz_j = \sum_i dp_{ij} x_i`.
        """
        x, z = self.kept()
        weight = self._matrix()  # (H, num_inputs F)
        dy = self.check_dy(dy, (len(x), len(weight)))
        dweight = np.zeros_like(weight)
        dx, dz = np.empty_like(x), np.empty_like(z)
        for rows in self._chunks(x, z):
            dweight += dy[rows].T @ self._outer(x[rows], z[rows])
            dp = (dy[rows] @ weight).reshape(-1, x.shape[1], z.shape[1])  # (n, num_inputs, F)
            np.matmul(dp, z[rows][:, :, None], out=dx[rows][:, :, None])
            np.matmul(x[rows][:, None], dp, out=dz[rows][:, None])
        self.weight.add_grad(dweight.reshape(self.weight.value.shape))
        self.bias.add_grad(dy.sum(axis=0))
        return dx, dz

    def _matrix(self) -> np.ndarray:
        return self.weight.value.reshape(len(self.weight.value), -1)

    @staticmethod
    def _outer(x: np.ndarray, z: np.ndarray) -> np.ndarray:
        return (x[:, :, None] * z[:, None]).reshape(len(x), -1)  # (n, num_inputs F)

    def _chunks(self, x: np.ndarray, z: np.ndarray):
        step = max(1, _CHUNK_BYTES // (x.itemsize * x.shape[1] * z.shape[1]))
        for start in range(0, len(x), step):
            yield slice(start, start + step)

    def __repr__(self) -> str:
        return f"CINLayer{self.weight.value.shape}"


class CIN(Module):
    r"""Compressed interaction network: vector-wise interactions of growing order.

    Layer k's vectors hold products of k + 1 embeddings. The sum over d of each vector (sum
    pooling) is an output.

    Parameters
    ----------
    num_features, embedding_dim : int
        F and D.
    layers : sequence of int
        H_k, the number of vectors of each layer.
    split_half : bool
        Whether half of each layer's vectors (but the last's) go on to the next layer, and the
        other half to the output. By default all do both.
    rng, dtype
        As `CINLayer`.

    Raises
    ------
    ValueError
        When `num_features` or `embedding_dim` is below 1; when `layers` is empty or has a size
        below 1; or, with `split_half`, an odd size that is to be split.

    References
    ----------
    Lian et al. 2018, "xDeepFM", section 3.1; the split is that of its published code.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> md.CIN(4, 3, layers=(6, 6)).forward(np.ones((2, 4, 3), np.float32)).shape
    (2, 12)
    """

    equation = r"x^k_h = \sum_{ij} W^k_{hij} (x^{k-1}_i \odot z_j)"

    def __init__(
        self,
        num_features: int,
        embedding_dim: int,
        layers: Sequence[int],
        split_half: bool = False,
        *,
        rng: np.random.Generator | None = None,
        dtype=np.float32,
    ):
        if num_features < 1 or embedding_dim < 1:
            raise ValueError(f"CIN({num_features}, {embedding_dim}): both must be at least 1")
        if len(layers) == 0:
            raise ValueError("cin_layers is empty: a CIN needs at least one layer")
        if split_half and any(size % 2 for size in layers[:-1]):
            raise ValueError(f"cin_layers {list(layers)}: split_half needs even sizes")
        rng = rng or np.random.default_rng(0)
        self.num_features, self.embedding_dim = num_features, embedding_dim
        self.layers: list[CINLayer] = []
        self.passed_on: list[int] = []  # vectors of each layer that the next one reads
        width = num_features
        for k, size in enumerate(layers):
            self.layers.append(CINLayer(width, num_features, size, rng=rng, dtype=dtype))
            last = k == len(layers) - 1
            width = 0 if last else size // 2 if split_half else size
            self.passed_on.append(width)
        self.split_half = split_half

    @property
    def num_outputs(self) -> int:
        """Number of outputs: the vectors that are pooled."""
        sizes = [len(layer.bias.value) for layer in self.layers]
        return sum(sizes) - (sum(self.passed_on) if self.split_half else 0)

    def forward(self, z: np.ndarray) -> np.ndarray:
        """Compute the outputs (B, num_outputs) from z (B, F, D); ValueError on another shape."""
        z = np.asarray(z)
        if z.ndim != 3 or z.shape[1:] != (self.num_features, self.embedding_dim):
            raise ValueError(
                f"CIN: z has shape {z.shape}, "
                f"expected (B, {self.num_features}, {self.embedding_dim})"
            )
        # a row for each sample and d, so that every layer is one matrix product
        flat = z.transpose(0, 2, 1).reshape(-1, self.num_features)  # (B D, F)
        x, pooled = flat, []
        for layer, width in zip(self.layers, self.passed_on, strict=True):
            y = layer.forward(x, flat)  # (B D, H)
            out = y[:, width:] if self.split_half else y
            pooled.append(out.reshape(len(z), self.embedding_dim, -1).sum(axis=1))  # (B, H)
            x = np.ascontiguousarray(y[:, :width])  # (B D, width)
        self.keep(z.shape, [part.shape[1] for part in pooled])
        return np.concatenate(pooled, axis=1)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        r"""Add to the gradients of all layers; return dL/dz (B, F, D).

        Let :math:`x^k` (H_k, D) be the vectors of layer k, with :math:`x^0 = z`. Of K layers, the
        outputs are :math:`y^k_h = \sum_d x^k_{hd}`. Go from k = K down to 1:

        1. A pooled output adds up the D entries of its vector, so each entry gets the whole
           gradient: :math:`dx^k_{hd} = dy^k_h`.
        2. A vector that is passed on to layer k + 1 gets that layer's dx as well; one that is both
           pooled and passed on gets the sum of both gradients.
        3. `CINLayer.backward` makes of :math:`dx^k` the gradient :math:`dx^{k-1}` of this layer's
           input, and :math:`dz^k`, that of z in this layer.
        4. z goes into every layer, and is the first layer's x too:
           :math:`dz = dx^0 + \sum_k dz^k`.
        """
        shape, widths = self.kept()
        dy = self.check_dy(dy, (shape[0], sum(widths)))
        parts = np.split(dy, np.cumsum(widths)[:-1], axis=1)
        dflat: np.ndarray | float = 0.0
        dx = np.zeros((shape[0] * shape[2], 0), dy.dtype)
        for layer, width, part in zip(
            reversed(self.layers), reversed(self.passed_on), reversed(parts), strict=True
        ):
            dpooled = np.repeat(part, shape[2], axis=0)  # (B D, H)
            if self.split_half:
                dlayer = np.concatenate([dx, dpooled], axis=1)
            else:
                dlayer = dpooled
                dlayer[:, :width] += dx
            dx, dz = layer.backward(dlayer)
            dflat = dz + dflat
        total = dflat + dx  # (B D, F)
        return total.reshape(shape[0], shape[2], shape[1]).transpose(0, 2, 1)

    def flops_per_sample(self) -> int:
        """Return the sum over layers of (2 H_k + 1) H_{k-1} F D."""
        d = self.embedding_dim
        shapes = [layer.weight.value.shape for layer in self.layers]
        return sum((2 * h + 1) * inputs * f * d for h, inputs, f in shapes)

    def bytes_per_sample(self) -> int:
        """Return the bytes of z and of all layers' vectors."""
        vectors = self.num_features + sum(len(layer.bias.value) for layer in self.layers)
        return vectors * self.embedding_dim * self.layers[0].bias.value.itemsize

    def __repr__(self) -> str:
        sizes = "-".join(str(len(layer.bias.value)) for layer in self.layers)
        split = ", split_half" if self.split_half else ""
        return f"CIN({self.num_features} × {self.embedding_dim}, {sizes}{split})"
