#!/usr/bin/env python3
"""Compares loss and gradients of a training step with PyTorch in f64 on the same network, and with PyTorch in f32.

    python3 -m venv V && V/bin/pip install torch
    cargo build --release -p unet-tests --bin gradients
    target/release/gradients CASE base=8 depth=3 size=32 batches=24
    V/bin/python tests/peers/compare_gradients.py CASE [CASE...] [--most 1.5] [--parameters]

CASE is a directory of `gradients`: batches of the same weights. Several are of one network with different weights, and statistics are over the
batches of all. The weights matter: where an image is flat, all its pixels are rounded in the same direction, by chance. For each set of
operators (our kernels by instruction set, and `stock`, burn's own) and for PyTorch in f32 (contiguous and channels_last tensors) it prints the
relative error of the loss, and of the gradients `|found - f64| / |f64|` in 2-norms per parameter: the mean over the parameters, and the
largest ratio to either order of PyTorch, with the parameter. Errors are medians over the batches.

The input of a ReLU or max pool may be so close to its threshold that rounding decides. One such pixel changes a gradient by a thousandth, a
thousand times the usual rounding error, and by chance affects one program and not the other. The median excludes such batches as long as they
are fewer than half; the column `otherwise` counts batches with an error above 1e-4. Small images have few of them; with 128x128 every batch
has some, and errors are about 1e-3 for any program.

--parameters prints every parameter. Exit code 0: done; 1: with --most R, a ratio of one of our sets of kernels to PyTorch's
contiguous is above R; 2: bad file or argument.
"""
import argparse
import json
import pathlib
import sys

import numpy
import torch
from torch import nn
from torch.nn import functional

# The default of burn and PyTorch.
EPSILON = 1e-5
STOCK = "stock"
# Above it, a ReLU or pool decided differently than in f64.
OTHERWISE = 1e-4
CONTIGUOUS = "pytorch"
PEERS = {CONTIGUOUS: "contiguous_format", "pytorch channels_last": "channels_last"}


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride=1, size=3, groups=1):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=EPSILON)

    def forward(self, x):
        return functional.relu(self.norm(self.conv(x)))


class Separable(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.depthwise, self.pointwise = Block(inputs, inputs, groups=inputs), Block(inputs, outputs, size=1)

    def forward(self, x):
        return self.pointwise(self.depthwise(x))


class Level(nn.Module):
    def __init__(self, inputs, outputs, kinds, count=2):
        super().__init__()
        self.first = kinds[0](inputs, outputs)
        self.second = kinds[1](outputs, outputs) if count == 2 else nn.Identity()

    def forward(self, x):
        return self.second(self.first(x))


def depth_to_space(x):
    """In the order DCR: channel (2 y + x) C + c to place (y, x) of channel c."""
    batch, _, height, width = x.shape
    return x.reshape(batch, 2, 2, -1, height, width).permute(0, 3, 4, 1, 5, 2).reshape(batch, -1, 2 * height, 2 * width)


class Up(nn.Module):
    def __init__(self, inputs, outputs, nearest):
        super().__init__()
        self.nearest = nearest
        self.conv = nn.Conv2d(inputs, outputs if nearest else 4 * outputs, 3 if nearest else 1, padding=int(nearest), bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=EPSILON)

    def forward(self, x):
        if self.nearest:
            x = self.conv(functional.interpolate(x, scale_factor=2))
        else:
            x = depth_to_space(self.conv(x))
        return functional.relu(self.norm(x))


class Head(nn.Conv2d):
    """To logits of the image's size."""

    def __init__(self, base, classes, stem):
        between = (base + 1) // 2
        super().__init__(between if stem == 4 else base, classes if stem == 1 else 4 * classes, 1)
        self.stem = stem
        self.up = nn.ModuleList([Up(base, between, False)] if stem == 4 else [])

    def forward(self, x):
        for up in self.up:
            x = up(x)
        x = super().forward(x)
        return x if self.stem == 1 else depth_to_space(x)


class UNet(nn.Module):
    """The network of host/src/model, with its names."""

    def __init__(self, base, depth, channels, classes, upsampling, stem=1, widths=None, skips="concat", decoder_convolutions=2, blocks="plain"):
        super().__init__()
        widths = widths or [base << level for level in range(depth + 1)]
        self.adds = skips == "add"
        between = (base + 1) // 2
        stems = {1: [channels], 2: [channels, base], 4: [channels, between, base]}[stem]
        self.stem = nn.ModuleList(Block(inputs, outputs, 2) for inputs, outputs in zip(stems, stems[1:]))
        above = [stems[-1], *widths]
        kinds = [Block if blocks == "plain" else Separable] * 2
        # What reads the image is never separable.
        top = kinds if stem > 1 else [Block, kinds[1]]
        self.encoder = nn.ModuleList(Level(above[level], widths[level], kinds if level else top) for level in range(depth))
        self.bottleneck = Level(widths[depth - 1], widths[depth], kinds)
        upwards = list(reversed(range(depth)))
        self.up = nn.ModuleList(Up(widths[level + 1], widths[level], upsampling == "nearest") for level in upwards)
        self.decoder = nn.ModuleList(Level(widths[level] * (1 if skips == "add" else 2), widths[level], kinds, decoder_convolutions) for level in upwards)
        self.head = Head(base, classes, stem)

    def forward(self, x):
        skips = []
        for block in self.stem:
            x = block(x)
        for level in self.encoder:
            x = level(x)
            skips.append(x)
            x = functional.max_pool2d(x, 2)
        x = self.bottleneck(x)
        for up, decoder in zip(self.up, self.decoder):
            skip, x = skips.pop(), up(x)
            x = decoder(skip + x if self.adds else torch.cat([skip, x], 1))
        return self.head(x)


def our_name(name):
    """PyTorch's name of a parameter of burn."""
    return name.replace("norm.weight", "norm.gamma").replace("norm.bias", "norm.beta")


def load(folder, names):
    found = {path.stem: numpy.load(path).astype(numpy.float64) for path in folder.glob("*.npy")}
    if set(found) != set(names):
        raise ValueError(f"{folder}: expected the parameters {sorted(names)}, found {sorted(found)}")
    return found


def pytorch(case, weights, images, masks, kind, order):
    """Loss and gradients by PyTorch, as f64."""
    model = UNet(**case["model"]).to(kind)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(weights[our_name(name)]))
    model = model.to(memory_format=order)
    loss = functional.cross_entropy(model(images.to(kind).to(memory_format=order)), masks)
    loss.backward()
    return loss.item(), {our_name(name): p.grad.double().contiguous().numpy() for name, p in model.named_parameters()}


def errors(found, truth):
    return [float(numpy.linalg.norm(found[name] - truth[name]) / numpy.linalg.norm(truth[name])) for name in truth]


def measure(root, case, names):
    """Errors of the loss and of each parameter by set of operators, for each batch."""
    weights = load(root / "weights", names)
    found = {}
    for number, losses in enumerate(case["losses"]):
        folder = root / f"batch_{number:02}"
        images = torch.from_numpy(numpy.load(folder / "images.npy"))
        masks = torch.from_numpy(numpy.load(folder / "masks.npy").astype(numpy.int64))
        loss, truth = pytorch(case, weights, images, masks, torch.float64, torch.contiguous_format)
        answers = {name: (ours, load(folder / name, names)) for name, ours in losses.items()}
        for name, order in PEERS.items():
            answers[name] = pytorch(case, weights, images, masks, torch.float32, getattr(torch, order))
        for name, (answer, gradients) in answers.items():
            found.setdefault(name, []).append([abs(answer - loss) / loss, *errors(gradients, truth)])
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", type=pathlib.Path, nargs="+", metavar="CASE")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--most", type=float, help="the largest ratio of our errors to PyTorch's that is good")
    parser.add_argument("--parameters", action="store_true", help="print every parameter")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    try:
        cases = [json.loads((root / "case.json").read_text()) for root in arguments.cases]
        model = cases[0]["model"]
        if any(case["model"] != model for case in cases):
            raise ValueError(f"expected cases of one network, found {[case['model'] for case in cases]}")
        names = [our_name(name) for name, _ in UNet(**model).named_parameters()]
        parts = [measure(root, case, names) for root, case in zip(arguments.cases, cases)]
        found = {name: numpy.concatenate([part[name] for part in parts]) for name in parts[0]}
    except (OSError, ValueError, KeyError, TypeError) as fault:
        print(f"compare_gradients.py: {fault}", file=sys.stderr)
        return 2
    print(f"{model}, {sum(len(case['losses']) for case in cases)} batches, {len(cases)} draws of weights, {arguments.threads} threads")
    table = {name: numpy.median(batches, 0) for name, batches in found.items()}
    if arguments.parameters:
        print(f"{'':32s}" + "".join(f" {name[-15:]:>15s}" for name in found))
        for at, parameter in enumerate(names, 1):
            print(f"{parameter:32s}" + "".join(f" {table[name][at]:15.2e}" for name in found))
    print(f"{'operators':22s} {'loss':>9s} {'gradients':>9s} {'otherwise':>9s}" + "".join(f" {'to ' + peer:>40s}" for peer in PEERS))
    worst = 0.0
    for name, batches in found.items():
        otherwise = (batches.max(1) > OTHERWISE).sum()
        line = f"{name:22s} {table[name][0]:9.1e} {table[name][1:].mean():9.1e} {otherwise:9d}"
        for peer in PEERS:
            ratios = table[name][1:] / table[peer][1:]
            line += f" {ratios.max():8.2f} {names[ratios.argmax()]:>31s}"
            if peer == CONTIGUOUS and name not in PEERS and name != STOCK:
                worst = max(worst, ratios.max())
        print(line)
    return 1 if arguments.most and worst > arguments.most else 0


if __name__ == "__main__":
    sys.exit(main())
