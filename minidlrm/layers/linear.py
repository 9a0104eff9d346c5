"""Linear: the affine map, with the ReLU that follows it fused in when asked."""

import numpy as np

from minidlrm import kernels
from minidlrm.module import Module, Parameter


class Linear(Module):
    """Affine map, y = x W^T + b, or y = max(0, x W^T + b) with ``activation="relu"``.

    The activation is part of the layer for speed: bias and ReLU take one pass over y.
    The result is the same as that of `Linear` and `ReLU` one after the other.

    Parameters
    ----------
    in_features, out_features : int
        Sizes of x and y.
    bias : bool
        Whether to add b.
    activation : None or "relu"
        What follows the affine map.
    rng : numpy.random.Generator, optional
        Draws W from N(0, sqrt(2 / (in + out))) and b from N(0, sqrt(1 / out)), the second
        number being the standard deviation, as the reference implementation of [1]_.
        The default is ``numpy.random.default_rng(0)``.
    dtype : dtype
        Of the parameters.

    Attributes
    ----------
    weight : Parameter (out_features, in_features)
        W.
    bias : Parameter (out_features,) or None
        b.

    Raises
    ------
    ValueError
        When a size is below 1, or `activation` is not known.

    References
    ----------
    .. [1] Naumov et al. 2019, arXiv 1906.00091; `DLRM_Net.create_mlp`.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> layer = md.Linear(2, 1)
    >>> layer.load_state_dict({"weight": np.array([[1.0, 2.0]]), "bias": np.array([3.0])})
    >>> layer.forward(np.array([[1.0, 1.0]], np.float32))
    array([[6.]], dtype=float32)
    """

    equation = r"y = x W^\top + b"

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        activation: str | None = None,
        rng: np.random.Generator | None = None,
        dtype=np.float32,
    ):
        if in_features < 1 or out_features < 1:
            raise ValueError(f"Linear({in_features}, {out_features}): sizes must be at least 1")
        if activation not in (None, "relu"):
            raise ValueError(f"activation is {activation!r}: it must be None or 'relu'")
        rng = rng or np.random.default_rng(0)
        weight = rng.normal(
            0, np.sqrt(2 / (in_features + out_features)), (out_features, in_features)
        )
        self.weight = Parameter(weight.astype(dtype), "weight")
        self.bias: Parameter | None = None
        if bias:
            values = rng.normal(0, np.sqrt(1 / out_features), out_features)
            self.bias = Parameter(values.astype(dtype), "bias")
        self.activation = activation
        if activation:
            self.equation = r"y = \max(0, x W^\top + b)"

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Compute y (B, out_features) from x (B, in_features); ValueError on another shape."""
        x = np.asarray(x)
        in_features = self.weight.value.shape[1]
        if x.ndim != 2 or x.shape[1] != in_features:
            raise ValueError(f"Linear: x has shape {x.shape}, expected (B, {in_features})")
        y = x @ self.weight.value.T  # (B, out)
        if self.bias is not None:
            kernels.add_bias(y, self.bias.value, self.activation == "relu")
        elif self.activation:
            y[y.real <= 0] = 0
        self.keep(x, y)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        r"""Add dL/dW and dL/db to the gradients; return dL/dx (B, in_features).

        Let :math:`z_{bo} = \sum_i x_{bi} W_{oi} + b_o` and :math:`y = z`, or
        :math:`y = \max(0, z)`. With :math:`dy = \partial L / \partial y`:

        1. :math:`dz_{bo} = dy_{bo}`, times :math:`[y_{bo} > 0]` after a ReLU.
        2. W_oi meets x_bi in every sample b, so the samples add up:
           :math:`dW_{oi} = \sum_b dz_{bo} x_{bi}`, that is :math:`dW = dz^\top x`.
        3. b_o is added in every sample: :math:`db_o = \sum_b dz_{bo}`.
        4. x_bi goes to every output o: :math:`dx_{bi} = \sum_o dz_{bo} W_{oi}`,
           that is :math:`dx = dz\, W`.
        """
        x, y = self.kept()
        dy = self.check_dy(dy, y.shape)
        dz, dbias = kernels.bias_backward(dy, y, self.activation == "relu")  # (B, out), (out,)
        self.weight.add_grad(dz.T @ x)
        if self.bias is not None:
            self.bias.add_grad(dbias)
        return dz @ self.weight.value  # (B, in)

    def flops_per_sample(self) -> int:
        """Return 2 in out: one multiply-add for each weight."""
        return 2 * self.weight.value.size

    def bytes_per_sample(self) -> int:
        """Return the bytes of x and y."""
        return sum(self.weight.value.shape) * self.weight.value.itemsize

    def __repr__(self) -> str:
        out_features, in_features = self.weight.value.shape
        activation = f", activation={self.activation!r}" if self.activation else ""
        return f"Linear({in_features}, {out_features}{activation})"
