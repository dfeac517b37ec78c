#!/usr/bin/env python3
"""Trains a run's network in PyTorch by the run's recipe, to compare the scores.

    python3 -m venv V && V/bin/pip install torch numpy pillow
    V/bin/python tests/peers/train_pytorch.py runs/train/mine [--epochs N] [--seed S] [--threads 2]

Network, dataset, input size, classes, loss, class weights, optimizer, schedule, flips and frozen norms are those of the run's config.toml and
dataset.json. What this script does not implement is an error, so that two different recipes are never compared; it knows datasets of the layout
{train,val}/{images,masks}, gray or palette masks, Adam, AdamW and SGD, the cosine schedule, flips, quarter turns of square images, and the
losses cross-entropy, dice and lovasz with their sums. Initial weights and shuffles are PyTorch's own.

Each epoch prints a line; the last one gives the mean IoU of the last epoch, the best one among comparable epochs and the range over the last
tenth, as `unet-host train` does. Predictions are counted at the labels' own size, enlarged by the nearest pixel.

Exit code 0: done; 2: a run that cannot be read or has a recipe that is not implemented.
"""
import argparse
import json
import math
import pathlib
import sys
import time
import tomllib

import numpy
import torch
from PIL import Image, ImageOps
from torch import nn
from torch.nn import functional

IGNORED = 255
# The keys of config.toml that are followed here or change no number; a run with another key is refused.
KNOWN = {
    "": "name code_version data val_ratio split_seed stacks skip_unreadable seed backend preprocess model training",
    "preprocess": "width height channels fit filter normalize fill",
    "model": "base depth widths channels classes upsampling skips decoder_convolutions blocks stem",
    "training": "epochs batch learning_rate schedule optimizer weight_decay decayed freeze_norms loss label_smoothing class_weights flips augment "
                "workers cache_bytes",
}
# How masks are read: palettes by index, values that belong to no class are an error.
READING = {"palette_indices": True, "samples_as_stored": True, "transparent": None, "unlisted": "refused"}


class Refused(ValueError):
    pass


def layer(channels_in, channels_out, stride=1, size=3, groups=1):
    convolution = nn.Conv2d(channels_in, channels_out, size, stride, size // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels_out), nn.ReLU())


def layers(channels_in, channels_out, count=2, separable=False):
    one = (lambda i, o: nn.Sequential(layer(i, i, groups=i), layer(i, o, size=1))) if separable else layer
    return nn.Sequential(one(channels_in, channels_out), *(one(channels_out, channels_out) for _ in range(1, count)))


def up(channels_in, channels_out):
    return nn.Sequential(nn.ConvTranspose2d(channels_in, channels_out, 2, 2, bias=False), nn.BatchNorm2d(channels_out), nn.ReLU())


class UNet(nn.Module):
    """The network of host/src/model/unet.rs."""

    def __init__(self, model):
        super().__init__()
        base, depth, halvings = model["base"], model["depth"], {"1": 0, "2": 1, "4": 2}[str(model.get("stem", 1))]
        between = -(-base // 2)
        stem, channels = [], model["channels"]
        for number in range(halvings):
            outputs = base if number + 1 == halvings else between
            stem.append(layer(channels, outputs, 2))
            channels = outputs
        self.stem = nn.Sequential(*stem)
        widths = model.get("widths") or [base << level for level in range(depth + 1)]
        above = [channels, *widths]
        separable = model.get("blocks") == "separable"
        if separable and not halvings:
            raise Refused("separable blocks are implemented for networks with a stem")
        self.encoder = nn.ModuleList(layers(above[level], widths[level], 2, separable) for level in range(depth))
        self.bottleneck = layers(above[depth], widths[depth], 2, separable)
        levels = list(reversed(range(depth)))
        nearest = model["upsampling"] == "nearest"
        enlarge = (lambda i, o: nn.Sequential(nn.Upsample(scale_factor=2), layer(i, o))) if nearest else up
        self.up = nn.ModuleList(enlarge(widths[level + 1], widths[level]) for level in levels)
        self.adds, count = model.get("skips") == "add", model.get("decoder_convolutions", 2)
        self.decoder = nn.ModuleList(layers(widths[level] * (1 if self.adds else 2), widths[level], count, separable) for level in levels)
        head, channels = [], base
        for _ in range(1, halvings):
            head.append(up(channels, between))
            channels = between
        last = nn.ConvTranspose2d(channels, model["classes"], 2, 2) if halvings else nn.Conv2d(channels, model["classes"], 1)
        self.head = nn.Sequential(*head, last)

    def forward(self, x):
        x, skips = self.stem(x), []
        for level in self.encoder:
            x = level(x)
            skips.append(x)
            x = functional.max_pool2d(x, 2)
        x = self.bottleneck(x)
        for enlarge, decoder in zip(self.up, self.decoder):
            skip, x = skips.pop(), enlarge(x)
            x = decoder(skip + x if self.adds else torch.cat([skip, x], 1))
        return self.head(x)


def area(image, size):
    """The image at (width, height), as shared/src/preprocess/resize.rs has it: the mean over the area on an axis that shrinks, bilinear on
    one that grows."""
    for width, height in ((size[0], image.height), size):
        grows = width > image.width or height > image.height
        image = image.resize((width, height), Image.BILINEAR if grows else Image.BOX)
    return image


def nearest(mask, size):
    """The mask at (width, height), as shared/src/mask.rs has it."""
    columns, rows = ((2 * numpy.arange(target) + 1) * source // (2 * target) for target, source in zip(size, reversed(mask.shape)))
    return mask[rows][:, columns]


class Split:
    """Images at the input's size, masks at it for training and at their own for validation."""

    def __init__(self, run, config, snapshot, split):
        folder, input_ = pathlib.Path(config["data"]) / split, config["preprocess"]
        size = (input_["width"], input_["height"])
        table = numpy.full(256, IGNORED, numpy.uint8)
        for number, known in enumerate(snapshot["labels"]["classes"]):
            for value in known["values"]:
                if not isinstance(value, int) or value > 255:
                    raise Refused(f"{run}: expected gray or palette masks, found the label value {value}")
                table[value] = number
        self.images, self.masks, self.truths = [], [], []
        for name in snapshot[split]:
            image, mask = (self.file(folder / part, name) for part in ("images", "masks"))
            pixels = ImageOps.exif_transpose(Image.open(image)).convert("L" if input_["channels"] == "gray" else "RGB")
            self.images.append(numpy.asarray(area(pixels, size)).reshape(size[1], size[0], -1))
            stored = Image.open(mask)
            if stored.mode not in ("L", "P", "1"):
                raise Refused(f"{mask}: expected a gray or palette mask, found {stored.mode}")
            stored = stored.convert("L") if stored.mode == "1" else stored
            self.truths.append(table[numpy.asarray(stored)])
            self.masks.append(nearest(self.truths[-1], size))

    @staticmethod
    def file(folder, name):
        found = sorted(folder.glob(f"{name}.*"))
        if len(found) != 1:
            raise Refused(f"{folder}: expected one file of {name}, found {len(found)}")
        return found[0]

    def batch(self, numbers, flips=None, turns=False, draws=None):
        images, masks = [], []
        for number in numbers:
            image, mask = self.images[number], self.masks[number]
            for axis, wanted in ((1, flips and flips["horizontal"]), (0, flips and flips["vertical"])):
                if wanted and draws.random() < 0.5:
                    image, mask = numpy.flip(image, axis), numpy.flip(mask, axis)
            if turns:
                quarters = int(draws.integers(4))
                image, mask = numpy.rot90(image, quarters), numpy.rot90(mask, quarters)
            images.append(image)
            masks.append(mask)
        x = torch.from_numpy(numpy.stack(images)).permute(0, 3, 1, 2).float().div(255)
        return x.contiguous(memory_format=torch.channels_last), torch.from_numpy(numpy.stack(masks)).long()


def mean(losses, weights):
    return sum(weight * loss for weight, loss in zip(weights, losses)) / sum(weights)


def lovasz(probabilities, target, valid, weights):
    """Lovász-softmax over the classes that occur (Berman et al. 2018), of the batch as a whole."""
    losses, present = [], []
    for number in range(probabilities.shape[1]):
        truth = (target == number)[valid].float()
        if truth.sum() == 0:
            continue
        errors, order = (truth - probabilities[:, number][valid]).abs().sort(descending=True)
        truth = truth[order]
        union = truth.sum() + (1 - truth).cumsum(0)
        jaccard = 1 - (truth.sum() - truth.cumsum(0)) / union
        jaccard[1:] = jaccard[1:] - jaccard[:-1]
        losses.append((errors * jaccard).sum())
        present.append(weights[number])
    return mean(losses, present)


def dice(probabilities, target, valid, weights):
    """1 - Dice over the classes that occur, of the batch as a whole."""
    losses, present = [], []
    for number in range(probabilities.shape[1]):
        truth, found = (target == number)[valid].float(), probabilities[:, number][valid]
        if truth.sum() > 0:
            losses.append(1 - 2 * (truth * found).sum() / (truth.sum() + found.sum()))
            present.append(weights[number])
    return mean(losses, present)


def loss_function(training):
    weights = torch.tensor(training["class_weights"])
    terms = []
    for term in training.get("loss", "cross-entropy").split("+"):
        factor, _, name = term.rpartition("*")
        if name not in ("cross-entropy", "dice", "lovasz"):
            raise Refused(f"the loss {name} is not implemented here")
        terms.append((float(factor or 1), name))
    smoothing = training.get("label_smoothing", 0.0)

    def loss(logits, target):
        total, valid = 0.0, target != IGNORED
        if not weights[target[valid]].any():
            return 0 * logits.sum()
        for factor, name in terms:
            if name == "cross-entropy":
                total = total + factor * functional.cross_entropy(
                    logits, target, weights, ignore_index=IGNORED, label_smoothing=smoothing)
            else:
                total = total + factor * {"dice": dice, "lovasz": lovasz}[name](logits.softmax(1), target, valid, training["class_weights"])
        return total

    return loss


def optimizer_of(model, training):
    rate, kind = training["learning_rate"], training.get("optimizer", "adam")
    decay = training.get("weight_decay", 0.0)
    # Runs of earlier versions, which do not name it, decay every parameter.
    decayed = training.get("decayed", "all")
    weights = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": weights, "weight_decay": decay}, {"params": others, "weight_decay": decay if decayed == "all" else 0.0}]
    if kind == "sgd":
        return torch.optim.SGD(groups, rate, momentum=0.9)
    return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[kind](groups, rate)


def rate_of(training, steps):
    """The learning rate of a step, as host/src/training/schedule.rs has it."""
    rate = training["learning_rate"]
    if training["schedule"] != "cosine":
        raise Refused(f"the schedule {training['schedule']} is not implemented here")
    warmup = max(steps // 20, 1)

    def of(step):
        if step < warmup:
            return rate * (step + 1) / warmup
        share = (step - warmup) / max(steps - warmup, 1)
        return rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(share, 1))))

    return of


def freeze(model, training_split, batch):
    """Statistics of each norm over all training images by pixels, as host/src/training/population.rs measures them: each
    norm normalizes by its batch while it is measured."""
    sums = {}

    def measure(norm, inputs):
        x = inputs[0].detach().double()
        entry = sums.setdefault(norm, [0.0, 0.0, 0])
        entry[0], entry[1] = entry[0] + x.sum((0, 2, 3)), entry[1] + (x * x).sum((0, 2, 3))
        entry[2] += x.numel() // x.shape[1]

    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(measure) for norm in norms]
    model.train()
    with torch.no_grad():
        for first in range(0, len(training_split.images), batch):
            model(training_split.batch(range(first, min(first + batch, len(training_split.images))))[0])
    for hook in hooks:
        hook.remove()
    for norm in norms:
        total, squares, pixels = sums[norm]
        mean = total / pixels
        norm.running_mean.copy_(mean)
        norm.running_var.copy_((squares / pixels - mean * mean).clamp(min=0))


def validate(model, split, batch, classes):
    model.eval()
    counts = numpy.zeros((classes, classes), numpy.int64)
    with torch.no_grad():
        for first in range(0, len(split.images), batch):
            numbers = range(first, min(first + batch, len(split.images)))
            for number, found in zip(numbers, model(split.batch(numbers)[0]).argmax(1).numpy()):
                truth = split.truths[number]
                found, valid = nearest(found, truth.shape[::-1]), truth != IGNORED
                counts += numpy.bincount(truth[valid].astype(int) * classes + found[valid], minlength=classes**2).reshape(classes, classes)
    union = counts.sum(0) + counts.sum(1) - counts.diagonal()
    iou = numpy.where(union > 0, counts.diagonal() / numpy.maximum(union, 1), numpy.nan)
    return float(numpy.nanmean(iou)), iou


def train(run, arguments):
    config = tomllib.loads((run / "config.toml").read_text())
    snapshot = json.loads((run / "dataset.json").read_text())
    training, model_config = config["training"], config["model"]
    unknown = [key for section, keys in KNOWN.items() for key in config.get(section, config) if key not in keys.split()]
    expected = {"fit": "stretch", "filter": "area", "normalize": "unit"}
    unknown += [key for key, value in expected.items() if config["preprocess"][key] != value]
    if snapshot["labels"].get("reading") != READING:
        unknown.append("labels.reading")
    operations = training.get("augment", [])
    turns = operations == ["quarter_turns"] and config["preprocess"]["width"] == config["preprocess"]["height"]
    if operations and not turns:
        unknown.append(f"augment = {operations}")
    if unknown:
        raise Refused(f"{run}: not implemented here: {', '.join(unknown)}")
    epochs, batch = arguments.epochs or training["epochs"], training["batch"]
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    draws = numpy.random.default_rng(arguments.seed)
    splits = {split: Split(run, config, snapshot, split) for split in ("train", "val")}
    count = len(splits["train"].images)
    model = UNet(model_config).to(memory_format=torch.channels_last)
    loss_of, optimizer = loss_function(training), optimizer_of(model, training)
    rate = rate_of(training, epochs * -(-count // batch))
    first_frozen = max(epochs + 1 - math.floor(epochs * training.get("freeze_norms", 0.0) + 0.5), 2)
    scores, step, start = [], 0, time.time()
    for epoch in range(1, epochs + 1):
        if epoch == first_frozen:
            freeze(model, splits["train"], batch)
            scores.clear()
        model.train()
        if epoch >= first_frozen:
            for module in model.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        order, losses = draws.permutation(count), []
        for first in range(0, count, batch):
            images, masks = splits["train"].batch(order[first:first + batch], training["flips"], turns, draws)
            for group in optimizer.param_groups:
                group["lr"] = rate(step)
            loss = loss_of(model(images), masks)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            step += 1
        score, iou = validate(model, splits["val"], batch, model_config["classes"])
        scores.append(score)
        print(f"epoch {epoch}/{epochs}: loss {numpy.mean(losses):.4f}, mean IoU {score:.4f}, {time.time() - start:.0f} s", flush=True)
    for known, value in zip(snapshot["labels"]["classes"], iou):
        print(f"  {known['name']}  IoU {value:.4f}")
    tail = scores[-min(-(-epochs // 10), len(scores)):]
    best = max(scores)
    print(f"PyTorch {torch.__version__}, seed {arguments.seed}: mean IoU: last epoch {scores[-1]:.4f}, best {best:.4f} "
          f"(epoch {epochs - len(scores) + scores.index(best) + 1}), the last {len(tail)} within {max(tail) - min(tail):.4f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=pathlib.Path, help="folder of a run of unet-host, whose recipe is followed")
    parser.add_argument("--epochs", type=int, help="default: the run's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    try:
        train(arguments.run, arguments)
    except (Refused, OSError, KeyError, tomllib.TOMLDecodeError, json.JSONDecodeError) as error:
        print(f"train_pytorch.py: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
