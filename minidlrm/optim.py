"""Optimizers: how a gradient changes a parameter, dense or sparse.

An embedding's gradient holds only the rows of the batch, and only these rows (and their
state) are read and written, whatever the table's size. What this means is said in each
class; what all share is in `optimizer`. `OPTIMIZERS` lists the classes by the name of the
command line.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from minidlrm import kernels
from minidlrm.arrays import check_number, check_rate, check_type
from minidlrm.module import Parameter
from minidlrm.optimizer import FIRST_ROW, Array, LearningRate, Optimizer, State, check_fits
from minidlrm.parameter import as_parameters
from minidlrm.schedules import warmup_decay

__all__ = [
    "FTRL",
    "OPTIMIZERS",
    "SGD",
    "Adagrad",
    "Adam",
    "Momentum",
    "Optimizer",
    "OptimizerGroup",
    "RowwiseAdagrad",
    "warmup_decay",
]


class SGD(Optimizer):
    """Stochastic gradient descent, w <- w - lr g.

    The sparse update is the dense one: rows without a gradient do not move.

    Parameters
    ----------
    lr, weight_decay
        See `Optimizer`.

    Raises
    ------
    ValueError
        As `Optimizer`.

    References
    ----------
    Robbins and Monro 1951, "A stochastic approximation method".

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> w = md.Parameter(np.array([1.0, 2.0])); w.grad = np.array([1.0, -1.0])
    >>> md.SGD(lr=0.5).step([w]); w.value
    array([0.5, 2.5])
    """

    def update(self, weight: Array, rows: Array, grad: Array, state: State, lr: Any) -> None:
        """Step w <- w - lr g."""
        scalar = weight.dtype.type
        kernels.sgd_rows(weight, rows, grad, scalar(lr), scalar(self.weight_decay))


class Momentum(Optimizer):
    """SGD with momentum, v <- mu v + g, w <- w - lr v, as PyTorch's SGD(momentum=mu).

    Lazy on tables: a row's v is decayed, and the row moved by it, only in the steps whose
    batch has the row. The dense rule would move every row in every step.

    Parameters
    ----------
    lr, weight_decay
        See `Optimizer`.
    momentum : float
        mu, in [0, 1).

    Raises
    ------
    ValueError
        As `Optimizer`; or when `momentum` is not in [0, 1).

    References
    ----------
    Polyak 1964, "Some methods of speeding up the convergence of iteration methods"; the form is
    that of PyTorch's ``torch.optim.SGD``.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> w, optimizer = md.Parameter(np.array([1.0])), md.Momentum(lr=0.1, momentum=0.5)
    >>> w.grad = np.array([1.0])
    >>> optimizer.step([w]); optimizer.step([w])                     # v is 1, then 1.5
    >>> w.value.round(6)
    array([0.75])
    """

    state_names = ("velocity",)

    def __init__(self, lr: LearningRate, momentum: float = 0.9, weight_decay: float = 0.0):
        super().__init__(lr, weight_decay)
        self.momentum = momentum
        self.check_options()

    def check_options(self) -> None:
        """Raise errors as `Optimizer`, and ValueError for a `momentum` outside [0, 1)."""
        super().check_options()
        check_number("momentum", self.momentum)
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum is {self.momentum}: it must lie in [0, 1)")

    def update(self, weight: Array, rows: Array, grad: Array, state: State, lr: Any) -> None:
        """Step v <- mu v + g, w <- w - lr v."""
        (velocity,) = self.arrays(state, weight)
        s = weight.dtype.type
        options = s(lr), s(self.momentum), s(self.weight_decay)
        kernels.momentum_rows(weight, velocity, rows, grad, *options)


class Adagrad(Optimizer):
    """Adagrad, h <- h + g^2, w <- w - lr g / (sqrt(h) + eps) (Duchi et al. 2011).

    Each number has its own step, which shrinks as its gradients add up: rare ids keep
    large steps. The sparse update is the dense one, since g = 0 changes neither h nor w.

    Parameters
    ----------
    lr, weight_decay
        See `Optimizer`.
    eps : float
        Keeps the first steps finite.

    Raises
    ------
    ValueError
        As `Optimizer`.

    References
    ----------
    Duchi, Hazan and Singer 2011, "Adaptive subgradient methods for online learning and
    stochastic optimization".

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> w = md.Parameter(np.array([1.0, 1.0])); w.grad = np.array([100.0, 0.01])
    >>> md.Adagrad(lr=0.1).step([w]); w.value.round(6)   # the first step is lr
    array([0.9, 0.9])
    """

    state_names = ("square_sum",)

    def __init__(self, lr: LearningRate = 0.01, weight_decay: float = 0.0, eps: float = 1e-10):
        super().__init__(lr, weight_decay)
        self.eps = eps
        self.check_options()

    def check_options(self) -> None:
        """Raise errors as `Optimizer`, or when `eps` is negative."""
        super().check_options()
        check_rate("eps", self.eps)

    def update(self, weight: Array, rows: Array, grad: Array, state: State, lr: Any) -> None:
        """Step h <- h + g^2, w <- w - lr g / (sqrt(h) + eps)."""
        (square_sum,) = self.arrays(state, weight)
        s = weight.dtype.type
        options = s(lr), s(self.eps), s(self.weight_decay)
        kernels.adagrad_rows(weight, square_sum, rows, grad, *options)


class RowwiseAdagrad(Adagrad):
    """Adagrad with one h for each row of a table: h <- h + mean(g^2).

    The state of a table of N rows is N numbers instead of N D: what large recommenders
    use (`RWSAdagrad` in facebookresearch/dlrm). Dense parameters get plain Adagrad.

    Parameters
    ----------
    lr, weight_decay, eps
        See `Adagrad`.

    Raises
    ------
    ValueError
        As `Optimizer`.

    References
    ----------
    ``RWSAdagrad`` in facebookresearch/dlrm, optim/rwsadagrad.py.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> table = md.Parameter(np.zeros((3, 2)))
    >>> table.grad = md.SparseGrad(np.array([1]), np.array([[1.0, 7.0]]), shape=(3, 2))
    >>> optimizer = md.RowwiseAdagrad(lr=0.1)
    >>> optimizer.step([table]); optimizer.state[table]["square_mean"]      # (1 + 49) / 2
    array([ 0., 25.,  0.])
    >>> table.value[1].round(6)
    array([-0.02, -0.14])
    """

    def state_shapes(self, shape: tuple[int, ...]) -> tuple[dict[str, tuple[int, ...]], ...]:
        """Return the two states: of plain Adagrad, and of a table (N, D)."""
        return {"square_sum": shape}, {"square_mean": shape[:1]}

    def update(self, weight: Array, rows: Array, grad: Array, state: State, lr: Any) -> None:
        """Change the rows; the kind of the first gradient decides which state a parameter has."""
        if "square_sum" in state or (rows is FIRST_ROW and "square_mean" not in state):
            return super().update(weight, rows, grad, state, lr)
        if rows is FIRST_ROW:  # a dense gradient of a table: all its rows
            rows = np.arange(len(state["square_mean"]))
            weight, grad = weight.reshape(len(rows), -1), grad.reshape(len(rows), -1)
        if not state:
            state["square_mean"] = np.zeros(len(weight), weight.dtype)
        check_fits(state["square_mean"], (len(weight),), weight.dtype, "square_mean")
        s = weight.dtype.type
        options = s(lr), s(self.eps), s(self.weight_decay)
        kernels.rowwise_adagrad_rows(weight, state["square_mean"], rows, grad, *options)


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015, algorithm 1), lazy on tables.

    m <- b1 m + (1 - b1) g, v <- b2 v + (1 - b2) g^2,
    w <- w - lr m' / (sqrt(v') + eps), where m' = m / (1 - b1^t) and v' = v / (1 - b2^t).
    In a table, m and v of a row change only in the steps whose batch has the row; t counts
    all steps, as in PyTorch's SparseAdam.

    Parameters
    ----------
    lr, weight_decay
        See `Optimizer`.
    betas : (float, float)
        b1 and b2, each in [0, 1).
    eps : float
        Keeps the division finite.

    Raises
    ------
    ValueError
        As `Optimizer`; or when a beta is not in [0, 1).
    TypeError
        As `Optimizer`; or when `betas` are not two numbers.

    References
    ----------
    Kingma and Ba 2015, "Adam: A method for stochastic optimization", arXiv 1412.6980,
    algorithm 1; lazy as PyTorch's ``torch.optim.SparseAdam``.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> w = md.Parameter(np.array([1.0, 2.0])); w.grad = np.array([100.0, -0.01])
    >>> md.Adam(lr=0.1).step([w]); w.value.round(6)   # the first step is lr
    array([0.9, 2.1])
    """

    state_names = ("m", "v")

    def __init__(
        self,
        lr: LearningRate = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        super().__init__(lr, weight_decay)
        self.betas = betas
        self.eps = eps
        self.check_options()

    def check_options(self) -> None:
        """Raise TypeError or ValueError as `Optimizer`, or when `betas` or `eps` are not right."""
        super().check_options()
        betas = self.betas
        if not (isinstance(betas, (tuple, list)) and len(betas) == 2):
            raise TypeError(f"betas are {betas!r}: they must be two numbers")
        for beta in betas:
            check_number("one of betas", beta)
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas are {betas}: both must lie in [0, 1)")
        check_rate("eps", self.eps)

    def update(self, weight: Array, rows: Array, grad: Array, state: State, lr: Any) -> None:
        """Step m and v by g and g^2, and w by their quotient."""
        m, v = self.arrays(state, weight)
        s, (beta1, beta2), t = weight.dtype.type, self.betas, self.num_steps
        options = s(lr), s(beta1), s(beta2), s(self.eps), s(self.weight_decay)
        bias = s(1 - beta1**t), s(1 - beta2**t)
        kernels.adam_rows(weight, m, v, rows, grad, *options, *bias)


class FTRL(Optimizer):
    """Follow the regularized leader, proximal (McMahan et al. 2013, algorithm 1).

    Adagrad's step with a true L1: a weight whose evidence stays below `l1` is exactly zero.
    What Wide & Deep trains its wide part with. The sparse update is the dense one.

    Parameters
    ----------
    lr : float or callable
        α in the paper.
    l1, l2 : float
        λ1 and λ2.
    beta : float
        β, which bounds the first steps.

    Raises
    ------
    ValueError
        When `lr` is negative or not finite, or `l1`, `l2` or `beta` is negative.

    References
    ----------
    McMahan et al. 2013, "Ad click prediction: a view from the trenches", algorithm 1.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> w = md.Parameter(np.zeros(2)); w.grad = np.array([0.5, 3.0])
    >>> md.FTRL(lr=0.1, l1=1.0).step([w]); w.value        # the first has too little evidence
    array([ 0.  , -0.05])
    """

    state_names = ("z", "n")

    def __init__(self, lr: LearningRate = 0.1, l1: float = 0.0, l2: float = 0.0, beta: float = 1.0):
        super().__init__(lr)
        self.l1, self.l2, self.beta = l1, l2, beta
        self.check_options()

    def check_options(self) -> None:
        """Raise errors as `Optimizer`, or when `l1`, `l2` or `beta` is negative."""
        super().check_options()
        for name in ("l1", "l2", "beta"):
            check_rate(name, getattr(self, name))

    def update(self, weight: Array, rows: Array, grad: Array, state: State, lr: Any) -> None:
        """Step z and n by g, and set w by them."""
        z, n = self.arrays(state, weight)
        s = weight.dtype.type
        options = s(lr), s(self.l1), s(self.l2), s(self.beta)
        kernels.ftrl_rows(weight, z, n, rows, grad, *options)


class OptimizerGroup:
    """Different optimizers for different parameters, used like one.

    Parameters
    ----------
    groups : list of (Optimizer, list of Parameter)
        Which optimizer updates which parameters.

    Raises
    ------
    ValueError
        When a parameter or an optimizer is in two groups.
    TypeError
        When `groups` is not a list of pairs.

    Examples
    --------
    >>> import minidlrm as md
    >>> model = md.WideDeep(2, [5, 6], 4, mlp=(8,))
    >>> optimizer = md.OptimizerGroup([(md.FTRL(0.1), model.wide_parameters()),
    ...                                (md.Adagrad(0.01), model.deep_parameters())])
    """

    def __init__(self, groups: list[tuple[Optimizer, list[Parameter]]]):
        if not isinstance(groups, (list, tuple)):
            raise TypeError(f"groups are {groups!r}: a list of (optimizer, parameters) is needed")
        for each in groups:
            if not (isinstance(each, (list, tuple)) and len(each) == 2):
                raise TypeError(f"groups has {each!r}: each must be (optimizer, parameters)")
            check_type("groups has an optimizer that", each[0], Optimizer)
        self.groups = [
            (optimizer, as_parameters(own, f"groups[{k}][1]"))
            for k, (optimizer, own) in enumerate(groups)
        ]
        seen: dict[Any, int] = {}
        for k, (optimizer, own) in enumerate(self.groups):
            for thing in (optimizer, *own):
                if thing in seen:
                    raise ValueError(
                        f"{thing!r} is in the groups {seen[thing]} and {k}: it would take each "
                        "step twice"
                    )
                seen[thing] = k

    def step(self, parameters: Iterable[Parameter]) -> None:
        """Let each optimizer update its own among `parameters`.

        ValueError, before anything is changed, when one of `parameters` belongs to no optimizer,
        or as `Optimizer.step`.
        """
        given = set(as_parameters(parameters))
        foreign = given.difference(p for _, own in self.groups for p in own)
        for p in foreign:
            raise ValueError(f"parameter {p!r} belongs to no optimizer of the group")
        parts = [(optimizer, [p for p in own if p in given]) for optimizer, own in self.groups]
        for optimizer, own in parts:
            optimizer.check(own)
        for optimizer, own in parts:
            optimizer.step(own)

    @property
    def num_steps(self) -> int:
        """Steps taken by the first optimizer."""
        return self.groups[0][0].num_steps if self.groups else 0

    def reset(self) -> None:
        """Forget all steps and states."""
        for optimizer, _ in self.groups:
            optimizer.reset()

    def __repr__(self) -> str:
        return f"OptimizerGroup({', '.join(repr(optimizer) for optimizer, _ in self.groups)})"


OPTIMIZERS: dict[str, type[Optimizer]] = {  # by the name of the command line
    "sgd": SGD,
    "momentum": Momentum,
    "adagrad": Adagrad,
    "rowwise-adagrad": RowwiseAdagrad,
    "adam": Adam,
    "ftrl": FTRL,
}
