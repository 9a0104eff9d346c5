"""Optimizers: how a gradient changes a parameter, dense or sparse.

An embedding's gradient holds only the rows of the batch, and only these rows (and their
state) are read and written, whatever the table's size. What this means is said in each
class. The state is kept inside the optimizer, one dict a parameter, made at first use.
`OPTIMIZERS` lists the classes by the name of the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from minidlrm import kernels
from minidlrm.module import Parameter, SparseGrad

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

_FIRST_ROW = np.zeros(1, np.int64)  # a dense parameter is updated as a table of one row

LearningRate = float | Callable[[int], float]


class Optimizer:
    """What all optimizers share: `step`, the learning rate, and the state.

    Parameters
    ----------
    lr : float or callable
        The learning rate; or a function of the step (1 for the first) that returns it,
        such as a `functools.partial` of `warmup_decay`.
    weight_decay : float
        λ: adds λ w to each gradient (L2). In an embedding table it reaches only the rows of
        the batch: a row is decayed when it is looked up, so a rare id is decayed rarely. The
        full L2 penalty would need a pass over the whole table in each step.

    Attributes
    ----------
    num_steps : int
        Steps taken.
    state : dict of Parameter to dict of str to array
        The state of each parameter that has been updated.

    Raises
    ------
    ValueError
        When `lr` is negative or not finite, or `weight_decay` is negative.

    Examples
    --------
    A rule of one's own changes the rows that have a gradient.

    >>> import numpy as np, minidlrm as md
    >>> from minidlrm.optim import Optimizer
    >>> class SignSGD(Optimizer):
    ...     def _update(self, weight, rows, grad, state, lr):
    ...         weight[rows] -= lr * np.sign(grad)
    >>> w = md.Parameter(np.array([1.0, 2.0])); w.grad = np.array([5.0, -0.1])
    >>> SignSGD(lr=0.5).step([w]); w.value
    array([0.5, 2.5])
    """

    def __init__(self, lr: LearningRate, weight_decay: float = 0.0):
        if not callable(lr) and not (np.isfinite(lr) and lr >= 0):
            raise ValueError(f"lr is {lr}: it must be a number of at least 0, or a function")
        if not weight_decay >= 0:
            raise ValueError(f"weight_decay is {weight_decay}: it must be at least 0")
        self.lr = lr
        self.weight_decay = weight_decay
        self.num_steps = 0
        self.state: dict[Parameter, dict[str, np.ndarray]] = {}

    def step(self, parameters: Iterable[Parameter]) -> None:
        """Update each of the parameters that has a gradient.

        ValueError, before anything is changed, when a gradient's shape is not its value's.
        """
        parameters = [p for p in parameters if p.grad is not None]
        for p in parameters:
            if p.grad.shape != p.value.shape:
                raise ValueError(f"{p.name}: grad {p.grad.shape} and value {p.value.shape} differ")
        self.num_steps += 1
        lr = self.lr(self.num_steps) if callable(self.lr) else self.lr
        for p in parameters:
            state = self.state.setdefault(p, {})
            if isinstance(p.grad, SparseGrad):
                self._update(p.value, p.grad.rows, p.grad.values, state, lr)
            else:
                self._update(p.value.reshape(1, -1), _FIRST_ROW, p.grad.reshape(1, -1), state, lr)

    def _update(self, weight, rows, grad, state, lr) -> None:
        """Change `weight` (N, D) at `rows` (n,), given their gradients (n, D)."""
        raise NotImplementedError

    def __repr__(self) -> str:
        options = {k: v for k, v in vars(self).items() if k not in ("num_steps", "state")}
        return f"{type(self).__name__}({', '.join(f'{k}={v}' for k, v in options.items())})"


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

    def _update(self, weight, rows, grad, state, lr):
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

    def __init__(self, lr: LearningRate, momentum: float = 0.9, weight_decay: float = 0.0):
        super().__init__(lr, weight_decay)
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum is {momentum}: it must lie in [0, 1)")
        self.momentum = momentum

    def _update(self, weight, rows, grad, state, lr):
        if not state:
            state["velocity"] = np.zeros_like(weight)
        s = weight.dtype.type
        options = s(lr), s(self.momentum), s(self.weight_decay)
        kernels.momentum_rows(weight, state["velocity"], rows, grad, *options)


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

    def __init__(self, lr: LearningRate = 0.01, weight_decay: float = 0.0, eps: float = 1e-10):
        super().__init__(lr, weight_decay)
        self.eps = eps

    def _update(self, weight, rows, grad, state, lr):
        if not state:
            state["square_sum"] = np.zeros_like(weight)
        s = weight.dtype.type
        options = s(lr), s(self.eps), s(self.weight_decay)
        kernels.adagrad_rows(weight, state["square_sum"], rows, grad, *options)


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

    def _update(self, weight, rows, grad, state, lr):
        if rows is _FIRST_ROW:
            return super()._update(weight, rows, grad, state, lr)
        if not state:
            state["square_mean"] = np.zeros(len(weight), weight.dtype)
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

    def __init__(
        self,
        lr: LearningRate = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        super().__init__(lr, weight_decay)
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas are {betas}: both must lie in [0, 1)")
        self.betas = betas
        self.eps = eps

    def _update(self, weight, rows, grad, state, lr):
        if not state:
            state["m"], state["v"] = np.zeros_like(weight), np.zeros_like(weight)
        s, (beta1, beta2), t = weight.dtype.type, self.betas, self.num_steps
        options = s(lr), s(beta1), s(beta2), s(self.eps), s(self.weight_decay)
        bias = s(1 - beta1**t), s(1 - beta2**t)
        kernels.adam_rows(weight, state["m"], state["v"], rows, grad, *options, *bias)


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

    def __init__(self, lr: LearningRate = 0.1, l1: float = 0.0, l2: float = 0.0, beta: float = 1.0):
        super().__init__(lr)
        if l1 < 0 or l2 < 0 or beta < 0:
            raise ValueError(f"l1 = {l1}, l2 = {l2}, beta = {beta}: all must be at least 0")
        self.l1, self.l2, self.beta = l1, l2, beta

    def _update(self, weight, rows, grad, state, lr):
        if not state:
            state["z"], state["n"] = np.zeros_like(weight), np.zeros_like(weight)
        s = weight.dtype.type
        options = s(lr), s(self.l1), s(self.l2), s(self.beta)
        kernels.ftrl_rows(weight, state["z"], state["n"], rows, grad, *options)


class OptimizerGroup:
    """Different optimizers for different parameters, used like one.

    Parameters
    ----------
    groups : list of (Optimizer, list of Parameter)
        Which optimizer updates which parameters.

    Examples
    --------
    >>> import minidlrm as md
    >>> model = md.WideDeep(2, [5, 6], 4, mlp=(8,))
    >>> optimizer = md.OptimizerGroup([(md.FTRL(0.1), model.wide_parameters()),
    ...                                (md.Adagrad(0.01), model.deep_parameters())])
    """

    def __init__(self, groups: list[tuple[Optimizer, list[Parameter]]]):
        self.groups = groups

    def step(self, parameters: Iterable[Parameter]) -> None:
        """Let each optimizer update its own; ValueError when one of `parameters` has none."""
        owned = {p for _, own in self.groups for p in own}
        for p in parameters:
            if p not in owned:
                raise ValueError(f"parameter {p!r} belongs to no optimizer of the group")
        for optimizer, own in self.groups:
            optimizer.step(own)


def warmup_decay(
    step: int,
    lr: float,
    num_warmup_steps: int = 0,
    decay_start_step: int = 0,
    num_decay_steps: int = 0,
    end_lr: float = 0.0,
) -> float:
    """Return the learning rate of a step: a linear rise, a plateau, a quadratic fall.

    Parameters
    ----------
    step : int
        1 for the first.
    lr : float
        The rate of the plateau.
    num_warmup_steps : int
        Steps of the rise; the last of them has the full rate.
    decay_start_step, num_decay_steps : int
        The fall begins after the first and takes the second many steps; 0 steps: no fall.
    end_lr : float
        The rate is not below this after the fall.

    Returns
    -------
    float
        The rate.

    References
    ----------
    The schedule of facebookresearch/dlrm, ``LRPolicyScheduler``.

    Examples
    --------
    >>> from functools import partial
    >>> import minidlrm as md
    >>> schedule = partial(md.warmup_decay, lr=1.0, num_warmup_steps=2,
    ...                    decay_start_step=3, num_decay_steps=2)
    >>> [schedule(step) for step in range(1, 7)]
    [0.5, 1.0, 1.0, 0.25, 0.0, 0.0]
    >>> optimizer = md.SGD(lr=schedule)
    """
    if step < num_warmup_steps:
        return lr * step / num_warmup_steps
    if num_decay_steps == 0 or step <= decay_start_step:
        return lr
    left = max(0.0, 1 - (step - decay_start_step) / num_decay_steps)
    return max(end_lr, lr * left**2)


OPTIMIZERS: dict[str, type[Optimizer]] = {  # by the name of the command line
    "sgd": SGD,
    "momentum": Momentum,
    "adagrad": Adagrad,
    "rowwise-adagrad": RowwiseAdagrad,
    "adam": Adam,
    "ftrl": FTRL,
}
