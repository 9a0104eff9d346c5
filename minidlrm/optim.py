"""Optimizers: how a gradient changes a parameter, dense or sparse.

An embedding's gradient holds only the rows of the batch, and only these rows (and their
state) are read and written, whatever the table's size. What this means is said in each
class. The state is kept inside the optimizer, one dict a parameter, made at first use.
`OPTIMIZERS` lists the classes by the name of the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from minidlrm import kernels
from minidlrm.arrays import check_number
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
State = dict[str, np.ndarray]


class Optimizer:
    """What all optimizers share: `step`, the learning rate, and the state.

    Parameters
    ----------
    lr : float or callable
        The learning rate; or a function of the step (1 for the first) that returns it,
        such as a `functools.partial` of `warmup_decay`.
    weight_decay : float
        λ: adds λ w to each gradient (L2). In an embedding table it reaches only the rows of
        the batch: a rare id is decayed rarely. The full penalty would need a pass over the
        whole table in each step.

    Attributes
    ----------
    num_steps : int
        Steps taken.
    state : dict of Parameter to dict of str to array
        The state of each parameter that has been updated.
    state_names : tuple of str
        Names of the arrays of a state, each of the parameter's shape and zero at first.

    Raises
    ------
    ValueError
        When `lr` is negative or not finite, or `weight_decay` is negative.

    Examples
    --------
    A rule of one's own overrides `update`, and names the arrays that it keeps.

    >>> import numpy as np, minidlrm as md
    >>> from minidlrm.optim import Optimizer
    >>> class SignMomentum(Optimizer):
    ...     state_names = ("velocity",)
    ...     def update(self, weight, rows, grad, state, lr):
    ...         (velocity,) = self.arrays(state, weight)
    ...         velocity[rows] += grad
    ...         weight[rows] -= lr * np.sign(velocity[rows])
    >>> w = md.Parameter(np.array([1.0, 2.0])); w.grad = np.array([5.0, -0.1])
    >>> SignMomentum(lr=0.5).step([w]); w.value
    array([0.5, 2.5])
    """

    state_names: tuple[str, ...] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        """Take a rule under `_update`, too: rules were written before it was public."""
        super().__init_subclass__(**options)
        if "_update" in vars(cls):
            cls.update = vars(cls)["_update"]  # type: ignore[method-assign]
        elif cls.__module__ == __name__:
            cls._update = cls.update  # type: ignore[attr-defined]

    def __init__(self, lr: LearningRate, weight_decay: float = 0.0):
        if not callable(lr) and not (np.isfinite(lr) and lr >= 0):
            raise ValueError(f"lr is {lr}: it must be a number of at least 0, or a function")
        if not (np.isfinite(weight_decay) and weight_decay >= 0):
            raise ValueError(f"weight_decay is {weight_decay}: it must be at least 0")
        self.lr = lr
        self.weight_decay = weight_decay
        self.num_steps = 0
        self.state: dict[Parameter, State] = {}

    def step(self, parameters: Iterable[Parameter]) -> None:
        """Update each of the parameters that has a gradient, once.

        TypeError and ValueError, before anything is changed, when a gradient or a state does not
        fit its parameter, or when the optimizer has only met other parameters so far.
        """
        parameters = self.check(parameters)
        self.num_steps += 1
        lr = self.lr(self.num_steps) if callable(self.lr) else self.lr
        for p in parameters:
            by_rows = isinstance(p.grad, SparseGrad)
            width = p.value.shape[1] if by_rows else p.value.size
            rows, grad = (p.grad.rows, p.grad.values) if by_rows else (_FIRST_ROW, p.grad)
            grad = np.ascontiguousarray(grad, p.value.dtype).reshape(-1, width)
            own = self.state.setdefault(p, {})
            seen = {
                k: v.reshape(-1, width) if v.shape == p.value.shape else v for k, v in own.items()
            }
            given = dict(seen)
            self.update(p.value.reshape(-1, width), rows, grad, seen, lr)
            for name, made in seen.items():
                if made is not given.get(name):  # made in this step, or replaced by a new array
                    whole = np.size(made) == p.value.size
                    own[name] = made.reshape(p.value.shape) if whole else made

    def check(self, parameters: Iterable[Parameter]) -> list[Parameter]:
        """Return those of `parameters` that have a gradient, each once; errors as `step`.

        ValueError and TypeError when one cannot be updated.
        """
        given = list(dict.fromkeys(parameters))
        used = [p for p in given if p.grad is not None]
        for p in used:
            p.check()
            if p.grad.shape != p.value.shape:
                raise ValueError(f"{p.name}: grad {p.grad.shape} and value {p.value.shape} differ")
            dtype = p.grad.values.dtype if isinstance(p.grad, SparseGrad) else p.grad.dtype
            if not np.can_cast(dtype, p.value.dtype, "same_kind"):
                raise TypeError(f"{p.name} is of {p.value.dtype}: a gradient of {dtype}")
            if isinstance(p.grad, SparseGrad):
                p.grad.check()
            self._check_state(p)
        remembers = callable(self.lr) or any(self.state.values())
        if used and remembers and self.state and self.state.keys().isdisjoint(given):
            raise ValueError(
                f"this {type(self).__name__} has taken {self.num_steps} steps with other "
                "parameters, and would go on from there: make a new optimizer for a new model, "
                "or call its reset()"
            )
        return used

    def _check_state(self, p: Parameter) -> None:
        if type(self).update.__module__ != __name__:  # a rule of one's own keeps what it likes
            return
        for name, array in self.state.get(p, {}).items():
            shapes = [s[name] for s in self.state_shapes(p.value.shape) if name in s]
            fits = array.dtype == p.value.dtype and array.flags.carray and array.shape in shapes
            if shapes and not fits:
                raise ValueError(
                    f"the state {name!r} of {p.name} has shape {array.shape} and dtype "
                    f"{array.dtype}: it must have {shapes[0]} and {p.value.dtype}"
                )

    def state_shapes(self, shape: tuple[int, ...]) -> tuple[dict[str, tuple[int, ...]], ...]:
        """Return the states that a parameter of this shape may have: the shape of each array."""
        return (dict.fromkeys(self.state_names, shape),)

    def arrays(self, state: State, weight: np.ndarray) -> list[np.ndarray]:
        """Return the arrays `state_names` of `state`, zeros (N, D) like `weight` when new.

        ValueError when one does not fit `weight`.
        """
        for name in self.state_names:
            if name not in state:
                state[name] = np.zeros_like(weight)
            _check_fits(state[name], weight.shape, weight.dtype, name)
        return [state[name] for name in self.state_names]

    def update(
        self, weight: np.ndarray, rows: np.ndarray, grad: np.ndarray, state: State, lr: float
    ) -> None:
        """Change `weight` (N, D) at `rows` (n,) in place, given their gradients `grad` (n, D).

        A dense parameter comes as a table of one row. `state` is the parameter's own dict; arrays
        of the parameter's shape have the shape of `weight` in it. `lr` is the rate of this step.
        """
        raise NotImplementedError(f"{type(self).__name__} has no update")

    def reset(self) -> None:
        """Forget all steps and states: a fresh start, for another model."""
        self.num_steps = 0
        self.state.clear()

    def options(self) -> dict[str, Any]:
        """Return what the optimizer was made with, by name."""
        return {k: v for k, v in vars(self).items() if k not in ("num_steps", "state")}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v}' for k, v in self.options().items())})"


def _check_fits(array: np.ndarray, shape: tuple[int, ...], dtype: Any, name: str) -> None:
    """Let no kernel take a state that it would leave: a rule of one's own may have made it."""
    if array.shape != shape or array.dtype != dtype or not array.flags.carray:
        raise ValueError(
            f"the state {name!r} has shape {array.shape} and dtype {array.dtype}: it must have "
            f"{shape} and {dtype}"
        )


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

    def update(
        self, weight: np.ndarray, rows: np.ndarray, grad: np.ndarray, state: State, lr: Any
    ) -> None:
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
        check_number("momentum", momentum)
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum is {momentum}: it must lie in [0, 1)")
        self.momentum = momentum

    def update(
        self, weight: np.ndarray, rows: np.ndarray, grad: np.ndarray, state: State, lr: Any
    ) -> None:
        """Step v <- mu v + g, w <- w - lr v.

        ValueError when a state does not fit.
        """
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
        self.eps = _positive_eps(eps)

    def update(
        self, weight: np.ndarray, rows: np.ndarray, grad: np.ndarray, state: State, lr: Any
    ) -> None:
        """Step h <- h + g^2, w <- w - lr g / (sqrt(h) + eps).

        ValueError when a state does not fit.
        """
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

    def update(
        self, weight: np.ndarray, rows: np.ndarray, grad: np.ndarray, state: State, lr: Any
    ) -> None:
        """Change the rows; the kind of the first gradient decides which state a parameter has.

        ValueError when a state does not fit.
        """
        if "square_sum" in state or (rows is _FIRST_ROW and "square_mean" not in state):
            return super().update(weight, rows, grad, state, lr)
        if rows is _FIRST_ROW:  # a dense gradient of a table: all its rows
            rows = np.arange(len(state["square_mean"]))
            weight, grad = weight.reshape(len(rows), -1), grad.reshape(len(rows), -1)
        if not state:
            state["square_mean"] = np.zeros(len(weight), weight.dtype)
        _check_fits(state["square_mean"], (len(weight),), weight.dtype, "square_mean")
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

    state_names = ("m", "v")

    def __init__(
        self,
        lr: LearningRate = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        super().__init__(lr, weight_decay)
        if not (isinstance(betas, (tuple, list)) and len(betas) == 2):
            raise TypeError(f"betas are {betas!r}: they must be two numbers")
        for beta in betas:
            check_number("one of betas", beta)
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas are {betas}: both must lie in [0, 1)")
        self.betas = betas
        self.eps = _positive_eps(eps)

    def update(
        self, weight: np.ndarray, rows: np.ndarray, grad: np.ndarray, state: State, lr: Any
    ) -> None:
        """Step m and v by g and g^2, and w by their quotient.

        ValueError when a state does not fit.
        """
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
        for name, value in (("l1", l1), ("l2", l2), ("beta", beta)):
            check_number(name, value)
        if not all(np.isfinite(x) and x >= 0 for x in (l1, l2, beta)):
            raise ValueError(f"l1 = {l1}, l2 = {l2}, beta = {beta}: all must be at least 0")
        self.l1, self.l2, self.beta = l1, l2, beta

    def update(
        self, weight: np.ndarray, rows: np.ndarray, grad: np.ndarray, state: State, lr: Any
    ) -> None:
        """Step z and n by g, and set w by them.

        ValueError when a state does not fit.
        """
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
        self.groups = [(optimizer, list(dict.fromkeys(own))) for optimizer, own in groups]
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
        given = set(parameters)
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


def _positive_eps(eps: float) -> float:
    check_number("eps", eps)
    if not (np.isfinite(eps) and eps >= 0):
        raise ValueError(f"eps is {eps}: it must be at least 0")
    return eps


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
