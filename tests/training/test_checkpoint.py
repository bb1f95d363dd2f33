"""Checkpoints put everything back, those of older runs too, and refuse another run's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from vidscan.errors import SetupError
from vidscan.training.average import follow, start_average
from vidscan.training.checkpoint import load_checkpoint, save_checkpoint


class Run:
    """Two small networks, and an optimizer that has moments to keep."""

    def __init__(self, seed: int, width: int = 3) -> None:
        torch.manual_seed(seed)
        self.net = nn.Sequential(nn.Linear(4, width), nn.BatchNorm1d(width))
        self.average = start_average(nn.Sequential(nn.Linear(4, width), nn.BatchNorm1d(width)), self.net)
        self.optimiser = torch.optim.AdamW(self.net.parameters(), 0.1)

    @property
    def networks(self) -> dict[str, nn.Module]:
        return {"net": self.net, "average": self.average}

    def step(self, number: int) -> None:
        points = torch.randn(8, 4, generator=torch.Generator().manual_seed(number))
        self.optimiser.zero_grad()
        self.net(points).square().mul(torch.arange(1.0, 4.0)).mean().backward()
        self.optimiser.step()
        follow(self.average, self.net, 0.9, number)

    def state(self) -> dict[str, torch.Tensor]:
        return {
            f"{n}.{k}": v.clone() for n, net in self.networks.items() for k, v in net.state_dict().items()
        }


def same(one: Run, other: Run) -> bool:
    return all(torch.equal(value, other.state()[name]) for name, value in one.state().items())


def test_a_run_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    straight = Run(0)
    for i in range(3):
        straight.step(i)
    path = tmp_path / "new" / "checkpoint.safetensors"
    progress = {"steps": 3, "recipe": {"channels": (1, 2), "rate": 0.1}}
    save_checkpoint(path, straight.networks, straight.optimiser, progress)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    resumed = Run(1)
    assert not same(straight, resumed)
    found = load_checkpoint(path, resumed.networks, resumed.optimiser, {"recipe": progress["recipe"]})
    assert found == json.loads(json.dumps(progress))
    assert same(straight, resumed)
    for run in (straight, resumed):
        run.step(3)
    assert same(straight, resumed)


def test_checkpoints_with_a_value_a_name_are_read(tmp_path: Path) -> None:
    """As runs wrote them before 'progress' was one JSON object."""
    run = Run(0)
    run.step(0)
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, run.networks, run.optimiser, {"seen": 64})
    save_file(load_file(path), path, {"seen": "64"})
    resumed = Run(1)
    assert load_checkpoint(path, resumed.networks, resumed.optimiser) == {"seen": 64}
    assert same(run, resumed)


def test_another_runs_checkpoint_is_refused_in_one_line(tmp_path: Path) -> None:
    run, path = Run(0), tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, run.networks, run.optimiser, {"recipe": {"rate": 0.1}})
    wider = Run(0, width=5)
    cases = [
        ("network differs", wider, None),
        ("recipe differs", run, {"recipe": {"rate": 0.2}}),
    ]
    for message, asked, wanted in cases:
        with pytest.raises(SetupError, match=message) as error:
            load_checkpoint(path, asked.networks, asked.optimiser, wanted)
        assert "\n" not in str(error.value)
    for metadata in (None, {"progress": "not json"}):
        save_file({"x": torch.zeros(1)}, path, metadata)
        with pytest.raises(SetupError, match="cannot go on") as error:
            load_checkpoint(path, run.networks, run.optimiser)
        assert "\n" not in str(error.value)


def test_the_average_forgets_a_random_start_and_then_is_slow() -> None:
    run = Run(0)
    before = run.average[0].weight.clone()
    with torch.no_grad():
        run.net[0].weight.add_(1.0)
        run.net[1].num_batches_tracked.fill_(7)
    follow(run.average, run.net, 0.99, 1)
    # (1 + 1) / (10 + 1) of the start is kept; the wish for 0.99 only counts later.
    torch.testing.assert_close(run.average[0].weight, before + 9 / 11)
    assert int(run.average[1].num_batches_tracked) == 7  # counted, not averaged
    near = run.average[0].weight.clone()
    follow(run.average, run.net, 0.99, 1e6)
    torch.testing.assert_close(run.average[0].weight, near + 0.01 * 2 / 11)
    assert not run.average.training and not any(p.requires_grad for p in run.average.parameters())
