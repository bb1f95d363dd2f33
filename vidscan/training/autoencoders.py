"""Training the small auto-encoders of :mod:`vidscan.forge.renderers` on genuine faces."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

from vidscan.forge.renderers import RECIPES, Renderer, RendererRecipe
from vidscan.outputs import Replacement
from vidscan.training.store import Store


def _patches(store: Store, rows: np.ndarray, rng: np.random.Generator, count: int, side: int) -> Tensor:
    """(count, 3, side, side) random windows in -1..1, half of them shrunk by two first."""
    out = np.empty((count, side, side, 3), np.uint8)
    whole = store.crops.shape[1]
    for i, row in enumerate(rng.choice(rows, count)):
        step = int(rng.integers(1, 3))
        y, x = rng.integers(0, whole - side * step + 1, 2)
        window = store.crops[row, y : y + side * step, x : x + side * step]
        if step == 2:
            window = window.reshape(side, 2, side, 2, 3).mean((1, 3)).astype(np.uint8)
        out[i] = window
    return torch.from_numpy(out).permute(0, 3, 1, 2).float() / 127.5 - 1


def _gradient_loss(a: Tensor, b: Tensor) -> Tensor:
    dx = (a.diff(dim=3) - b.diff(dim=3)).abs().mean()
    return dx + (a.diff(dim=2) - b.diff(dim=2)).abs().mean()


def train_renderer(
    recipe: RendererRecipe, store: Store, rows: np.ndarray, *, steps: int, seconds: float, seed: int
) -> Renderer:
    """Train one auto-encoder for ``steps`` steps or ``seconds`` seconds, whichever ends first."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = Renderer(recipe)
    optimiser = torch.optim.Adam(net.parameters(), 2e-3, (0.8, 0.99))
    critic = nn.Sequential(
        nn.Conv2d(3, 24, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(24, 48, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(48, 1, 3, 1, 1),
    )
    critic_optimiser = torch.optim.Adam(critic.parameters(), 4e-4, (0.5, 0.99))
    start = time.monotonic()
    for step in tqdm(range(steps), desc=recipe.name, disable=None):
        progress = max(step / steps, (time.monotonic() - start) / seconds)
        if progress >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * min(1.0, 0.05 + 1.5 * (1 - progress))
        real = _patches(store, rows, rng, 12, 64)
        fake = net(real)
        loss = F.mse_loss(fake, real) * 4 if recipe.loss == "l2" else F.l1_loss(fake, real)
        if recipe.loss in ("gradient", "adversarial"):
            loss = loss + 0.5 * _gradient_loss(fake, real)
        if recipe.loss == "adversarial" and progress > 0.3:
            critic_loss = F.relu(1 - critic(real)).mean() + F.relu(1 + critic(fake.detach())).mean()
            critic_optimiser.zero_grad()
            critic_loss.backward()
            critic_optimiser.step()
            loss = loss - 0.02 * critic(fake).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
    return net.eval()


def train_renderers(store: Store, folder: Path, *, steps: int = 4000, seconds: float = 150.0) -> list[Path]:
    """Train every recipe that ``folder`` does not hold yet; fp16 safetensors, one a recipe."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = np.array([i for i, row in enumerate(store.rows) if row.genuine and not row.held_out])
    paths = []
    for seed, recipe in enumerate(RECIPES):
        path = folder / f"{recipe.name}.safetensors"
        if not path.exists():
            net = train_renderer(recipe, store, rows, steps=steps, seconds=seconds, seed=seed)
            with Replacement(path) as part:
                save_file({k: v.half().contiguous() for k, v in net.state_dict().items()}, part.path)
        paths.append(path)
    return paths


def load_renderers(folder: Path, device: str | torch.device = "cpu") -> list[Renderer]:
    """The trained renderers of ``folder``, in recipe order."""
    nets = []
    for recipe in RECIPES:
        path = folder / f"{recipe.name}.safetensors"
        if path.exists():
            net = Renderer(recipe)
            net.load_state_dict({k: v.float() for k, v in load_file(path).items()})
            nets.append(net.eval().requires_grad_(False).to(device))
    return nets
