"""Schedules: how the learning rate changes from step to step."""

from __future__ import annotations

from minidlrm.arrays import check_rate


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
    steps = {"num_warmup_steps": num_warmup_steps, "decay_start_step": decay_start_step}
    steps |= {"num_decay_steps": num_decay_steps, "step": step}
    for name, value in {**steps, "lr": lr, "end_lr": end_lr}.items():
        check_rate(name, value)
    if step < num_warmup_steps:
        return lr * step / num_warmup_steps
    if num_decay_steps == 0 or step <= decay_start_step:
        return lr
    left = max(0.0, 1 - (step - decay_start_step) / num_decay_steps)
    return max(end_lr, lr * left**2)
