"""Moving averages of a network's weights, which read better than the weights of any one step."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


def start_average(average: Network, network: nn.Module) -> Network:
    """Makes ``average`` equal to ``network``, for evaluation only; returns it."""
    average.load_state_dict(network.state_dict())
    average.eval().requires_grad_(False)
    return average


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, decay: float, steps: float) -> None:
    """Moves ``average`` towards ``network`` after its ``steps``-th step, batch-norm statistics included.

    The first steps count for more than ``decay`` leaves them: a random start is forgotten soon.
    """
    kept = min(decay, (1 + steps) / (10 + steps))
    pairs = zip(average.state_dict().values(), network.state_dict().values(), strict=True)
    for mine, theirs in pairs:
        if mine.is_floating_point():
            mine.lerp_(theirs, 1 - kept)
        else:
            mine.copy_(theirs)


def half_precision(network: nn.Module) -> dict[str, Tensor]:
    """The state of ``network``, floating point as float16: what is shipped."""
    return {k: v.half() if v.is_floating_point() else v for k, v in network.state_dict().items()}
