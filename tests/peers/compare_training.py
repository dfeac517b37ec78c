#!/usr/bin/env python3
"""Times a training step of unet-host and of PyTorch on the same network, alternating in one run.

    python3 -m venv V && V/bin/pip install torch
    cargo build --release -p unet-host
    V/bin/python tests/peers/compare_training.py --unet-host target/release/unet-host [--shape 16:256:4:1 ...] [--threads 2]

A shape is BASE:SIZE:BATCH:CHANNELS; SIZE is a side or WIDTHxHEIGHT. The network is the textbook U-Net: 3x3 convolutions with biases, batch norm and
ReLU, and nearest upsampling followed by a plain 3x3 convolution. With one of the names of `unet-host models` for BASE it is that network, in the form
that `unet-host train` trains. A step is forward, loss, backward and Adam on random images and masks made
before the clock starts. --loss is cross-entropy, dice, lovasz or a sum of them (default: cross-entropy); --frozen-norms freezes the batch norms, as in the
last epochs of training. Each turn is a separate process with its own peak memory, and its first step does not count; PyTorch has one turn with
NCHW tensors and one with channels_last. One line for each: minimum and median seconds per step, peak memory, how much of it importing PyTorch
takes, and the ratios of time and memory to channels_last, by the minimum time and the larger peak.

--isa avx2 limits PyTorch and us to AVX2.

Exit code 0: done; 1: with --most R, one of our ratios of time is above R, or with --most-memory R one of memory; 2: bad file,
program or argument.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

PEERS = {"pytorch": "contiguous_format", "pytorch channels_last": "channels_last"}
REFERENCE = "pytorch channels_last"
# The project's four reference shapes.
SHAPES = ["16:256:4:1", "8:128:8:1", "32:256:2:1", "16:480x352:2:3"]

# Busy cores of other programs that do not disturb the times.
BUSY_MOST = 0.2


class Shape:
    def __init__(self, text):
        base, size, batch, channels = text.split(":")
        width, _, height = size.partition("x")
        self.text, self.batch, self.channels = text, int(batch), int(channels)
        self.model, self.base = (None, int(base)) if base.isdecimal() else (base, None)
        self.width, self.height = int(width), int(height or width)


def peak_kib():
    status = pathlib.Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


def network(shape, depth, classes):
    from torch import cat, nn
    from torch.nn import functional

    def double(channels_in, channels_out):
        layers = []
        for channels in (channels_in, channels_out):
            layers += [nn.Conv2d(channels, channels_out, 3, padding=1), nn.BatchNorm2d(channels_out), nn.ReLU()]
        return nn.Sequential(*layers)

    class UNet(nn.Module):
        def __init__(self):
            super().__init__()
            widths = [shape.base << level for level in range(depth + 1)]
            above = [shape.channels, *widths]
            self.encoder = nn.ModuleList(double(above[level], widths[level]) for level in range(depth))
            self.bottleneck = double(widths[depth - 1], widths[depth])
            upwards = list(reversed(range(depth)))
            self.up = nn.ModuleList(nn.Conv2d(widths[level + 1], widths[level], 3, padding=1) for level in upwards)
            self.decoder = nn.ModuleList(double(2 * widths[level], widths[level]) for level in upwards)
            self.head = nn.Conv2d(shape.base, classes, 1)

        def forward(self, x):
            skips = []
            for level in self.encoder:
                x = level(x)
                skips.append(x)
                x = functional.max_pool2d(x, 2)
            x = self.bottleneck(x)
            for up, decoder in zip(self.up, self.decoder):
                x = decoder(cat([skips.pop(), up(functional.interpolate(x, scale_factor=2))], 1))
            return self.head(x)

    return UNet()


def pytorch_turn(arguments):
    """The child process: runs steps, and prints a line of JSON like `unet-host bench-train`."""
    import torch

    import train_pytorch

    imported = peak_kib()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    shape, order = arguments.shape, getattr(torch, arguments.order)
    model = train_pytorch.UNet(arguments.config) if arguments.config else network(shape, arguments.depth, arguments.classes)
    model = model.to(memory_format=order)
    optimizer, times, losses = torch.optim.Adam(model.parameters(), 1e-3), [], []
    loss_of = train_pytorch.loss_function({"class_weights": [1.0] * arguments.classes, "loss": arguments.loss})
    if arguments.frozen_norms:
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eval()
    for _ in range(arguments.steps):
        images = torch.rand(shape.batch, shape.channels, shape.height, shape.width).to(memory_format=order)
        masks = torch.randint(arguments.classes, (shape.batch, shape.height, shape.width))
        start = time.perf_counter()
        loss = loss_of(model(images), masks)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        times.append(time.perf_counter() - start)
        losses.append(loss.item())
    print(json.dumps({"step_s": times, "losses": losses, "peak_rss_kib": peak_kib(), "imported_kib": imported,
                      "threads": torch.get_num_threads(), "isa": torch.backends.cpu.get_cpu_capability()}))


def turn(command, environment):
    """The last line of JSON that a process prints."""
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        raise ValueError(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr.strip()[-400:]}")
    return json.loads(lines[-1])


def busy_cores():
    """Cores that other programs keep busy, measured for half a second."""
    def read():
        fields = [int(field) for field in pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        return fields[3] + fields[4], sum(fields)

    (idle, whole), _, (idle_after, whole_after) = read(), time.sleep(0.5), read()
    return os.cpu_count() * (1 - (idle_after - idle) / max(whole_after - whole, 1))


def config_of(arguments, shape):
    """The configuration of a network with a name."""
    command = [arguments.unet_host, "models", "--size", "64x64", "--frames", "1", "--json"]
    models = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)["models"]
    for entry in models:
        if entry["model"] == shape.model:
            return {**entry["config"], "channels": shape.channels, "classes": arguments.classes}
    names = ", ".join(entry["model"] for entry in models if entry["model"])
    raise ValueError(f"--shape {shape.text}: expected a number or one of {names}, found {shape.model}")


def commands(arguments, shape, config):
    size = f"{shape.width}x{shape.height}"
    shared = ["--classes", str(arguments.classes), "--steps", str(arguments.steps), "--threads", str(arguments.threads),
              "--loss", arguments.loss, *["--frozen-norms"] * arguments.frozen_norms]
    depth = ["--depth", str(arguments.depth)]
    if config is None:
        theirs, ours = depth, ["--base", str(shape.base), *depth, "--network", "plain"]
    else:
        theirs, ours = ["--config", json.dumps(config)], ["--model", shape.model, "--network", "ours"]
    found = {name: [sys.executable, __file__, "turn", "--order", order, "--shape", shape.text, *theirs, *shared]
             for name, order in PEERS.items()}
    found["ours"] = [arguments.unet_host, "bench-train", *ours, "--size", size, "--batch", str(shape.batch), "--channels", str(shape.channels),
                     *shared, "--json"]
    if arguments.isa:
        found["ours"] += ["--kernels", arguments.isa]
    return found


def measure(arguments, shape, environment):
    """Our ratios of time and of memory."""
    found, config = {}, config_of(arguments, shape) if shape.model else None
    for number in range(1, arguments.rounds + 1):
        # Threads that synchronise at every layer lose far more than the share of another program.
        busy = busy_cores()
        if busy > BUSY_MOST:
            print(f"warning: {shape.text}, round {number}: others keep {busy:.1f} cores busy; these times mean little", file=sys.stderr)
        for name, command in commands(arguments, shape, config).items():
            answer = turn(command, environment)
            if answer["threads"] != arguments.threads:
                raise ValueError(f"{name}: expected {arguments.threads} threads, found {answer['threads']}")
            if arguments.isa and answer.get("isa", arguments.isa).lower() != arguments.isa:
                raise ValueError(f"{name}: expected {arguments.isa}, found {answer['isa']}")
            found.setdefault(name, []).append(answer)
    least, peak, ratios = {}, {}, (0.0, 0.0)
    times = {name: [seconds for answer in answers for seconds in answer["step_s"][1:]] for name, answers in found.items()}
    for name, answers in found.items():
        least[name], peak[name] = min(times[name]), max(answer["peak_rss_kib"] or 0 for answer in answers)
    for name, answers in found.items():
        ratios = least[name] / least[REFERENCE], peak[name] / peak[REFERENCE]
        imported = f"{answers[0]['imported_kib'] / 1024:.0f}" if "imported_kib" in answers[0] else "-"
        print(f"{shape.text:16s} {name:22s} {least[name]:8.3f} {statistics.median(times[name]):8.3f} {ratios[0]:6.2f}"
              f" {peak[name] / 1024:9.0f} {imported:>9s} {ratios[1]:6.2f}", flush=True)
    # "ours" comes last.
    return ratios


def main():
    both = argparse.ArgumentParser(add_help=False)
    both.add_argument("--depth", type=int, default=4)
    both.add_argument("--classes", type=int, default=4)
    both.add_argument("--steps", type=int, default=5, help="steps a turn, the first of which does not count")
    both.add_argument("--threads", type=int, default=2)
    both.add_argument("--loss", default="cross-entropy")
    both.add_argument("--frozen-norms", action="store_true")
    if sys.argv[1:2] == ["turn"]:
        child = argparse.ArgumentParser(parents=[both])
        child.add_argument("--order", choices=list(PEERS.values()))
        child.add_argument("--shape", type=Shape)
        child.add_argument("--config", type=json.loads)
        pytorch_turn(child.parse_args(sys.argv[2:]))
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, parents=[both])
    parser.add_argument("--unet-host", default="unet-host", help="the program (default: the one on the PATH)")
    parser.add_argument("--shape", type=Shape, nargs="+", default=[Shape(text) for text in SHAPES],
                        help=f"BASE or name:SIZE:BATCH:CHANNELS (default: {' '.join(SHAPES)})")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--isa", choices=["avx2"], help="hold all to this instruction set")
    parser.add_argument("--most", type=float, help="the largest of our ratios of time that is good")
    parser.add_argument("--most-memory", type=float, help="the largest of our ratios of memory that is good")
    arguments = parser.parse_args()
    if arguments.steps < 2 or arguments.rounds < 1:
        parser.error("expected at least 2 steps, the first of which does not count, and 1 round")
    environment = {**os.environ, "OMP_NUM_THREADS": str(arguments.threads)}
    if arguments.isa:
        environment.update(ONEDNN_MAX_CPU_ISA=arguments.isa.upper(), ATEN_CPU_CAPABILITY=arguments.isa)
    try:
        print(f"{'shape':16s} {'runtime':22s} {'least s':>8s} {'median s':>8s} {'ratio':>6s} {'peak MiB':>9s} {'imported':>9s}"
              f" {'ratio':>6s}   {arguments.threads} threads, {arguments.rounds} rounds of {arguments.steps} steps")
        ratios = [measure(arguments, shape, environment) for shape in arguments.shape]
    except (OSError, ValueError, subprocess.CalledProcessError) as fault:
        print(f"compare_training.py: {fault}", file=sys.stderr)
        return 2
    slow = arguments.most and max(time for time, _ in ratios) > arguments.most
    large = arguments.most_memory and max(memory for _, memory in ratios) > arguments.most_memory
    return 1 if slow or large else 0


if __name__ == "__main__":
    sys.exit(main())
