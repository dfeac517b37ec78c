#!/usr/bin/env python3
"""Times the preprocessing and OpenCV's cvtColor and resize(INTER_AREA) on one camera frame, alternating in one run.

    python3 -m venv V && V/bin/pip install numpy opencv-python-headless
    cargo build --release -p unet-shared --features std --example preprocess_bench
    V/bin/python tests/peers/compare_opencv.py target/release/examples/preprocess_bench [--size 1280x720] [--format yuyv ...]

One thread each. Both run a few frames per round, so that noise on the machine affects both equally; the minimum time per frame counts, and the
median is printed too. OpenCV writes into existing arrays, so that it allocates no more than we do. It keeps RGB interleaved and uses luma
unchanged as gray, where we write planes and stretch luma to the full range; the difference of the pixels is printed, for gray after the same
stretch.

Exit code 0: done; 1: with --most R, one of our ratios is above R, or the pixels differ too much; 2: bad file, program or
argument.
"""
import argparse
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

# OpenCV's names: gray and RGB.
CODES = {
    "yuyv": ("COLOR_YUV2GRAY_YUY2", "COLOR_YUV2RGB_YUY2"),
    "uyvy": ("COLOR_YUV2GRAY_UYVY", "COLOR_YUV2RGB_UYVY"),
    "nv12": ("COLOR_YUV2GRAY_NV12", "COLOR_YUV2RGB_NV12"),
    "i420": ("COLOR_YUV2GRAY_I420", "COLOR_YUV2RGB_I420"),
    "bgr8": ("COLOR_BGR2GRAY", "COLOR_BGR2RGB"),
}
# More gray levels than rounding can explain, on average.
MEAN_MOST = 1.0


def sides(text):
    width, height = text.split("x")
    return int(width), int(height)


def frame(width, height, form):
    """Smooth colours with noise, like a camera image."""
    import numpy

    random = numpy.random.default_rng(1)
    y, x = numpy.mgrid[0:height, 0:width]
    luma = 126 + 90 * numpy.sin(x / 57.0) * numpy.cos(y / 41.0) + random.normal(0, 6, (height, width))
    luma = luma.clip(16, 235).astype(numpy.uint8)
    half = 128 + 30 * numpy.sin(x[:, ::2] / 130.0 + y[:, ::2] / 90.0)
    u, v = half.astype(numpy.uint8), (255 - half).astype(numpy.uint8)
    if form in ("yuyv", "uyvy"):
        packed = numpy.empty((height, width, 2), numpy.uint8)
        first = 0 if form == "yuyv" else 1
        packed[:, :, first] = luma
        packed[:, ::2, 1 - first], packed[:, 1::2, 1 - first] = u, v
        return packed
    if form == "bgr8":
        return numpy.stack([luma, 255 - luma, luma // 2], axis=2)
    u, v = u[::2], v[::2]
    if form == "nv12":
        chroma = numpy.stack([u, v], axis=2).reshape(height // 2, width)
    else:
        chroma = numpy.concatenate([u.reshape(-1), v.reshape(-1)]).reshape(height // 2, width)
    return numpy.concatenate([luma, chroma])


class OpenCv:
    def __init__(self, pixels, size, target, code, channels):
        import cv2
        import numpy

        cv2.setNumThreads(1)
        (width, height), self.pixels, self.target, self.code = size, pixels, target, getattr(cv2, code)
        depth = () if channels == 1 else (3,)
        self.converted = numpy.empty((height, width, *depth), numpy.uint8)
        self.out = numpy.empty((target[1], target[0], *depth), numpy.uint8)
        self.cv2 = cv2

    def round(self, frames):
        cv2, times = self.cv2, []
        for _ in range(frames):
            start = time.perf_counter()
            converted = cv2.cvtColor(self.pixels, self.code, dst=self.converted)
            self.out = cv2.resize(converted, self.target, dst=self.out, interpolation=cv2.INTER_AREA)
            times.append((time.perf_counter() - start) * 1e3)
        return times


class Ours:
    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def round(self, frames):
        self.process.stdin.write(f"{frames}\n")
        self.process.stdin.flush()
        times = self.process.stdout.readline().split()
        if len(times) != frames:
            raise ValueError(f"{self.process.args[0]}: {self.process.stderr.read().strip()[-400:]}")
        return [float(value) for value in times]

    def close(self):
        self.process.communicate()


def differences(ours, theirs, stretched):
    """Largest and mean difference in gray levels; ours are planes."""
    import numpy

    ours = ours.astype(numpy.float64)
    if theirs.ndim == 3:
        theirs = theirs.transpose(2, 0, 1)
    theirs = theirs.astype(numpy.float64)
    if stretched:
        theirs = ((theirs - 16) * 298 / 256).clip(0, 255)
    found = numpy.abs(ours.reshape(theirs.shape) - theirs)
    return float(found.max()), float(found.mean())


def measure(arguments, form, name, code, folder):
    import numpy

    pixels = frame(*arguments.size, form)
    source, result = folder / "frame", folder / "result"
    source.write_bytes(pixels.tobytes())
    size, target = (f"{width}x{height}" for width, height in (arguments.size, arguments.target))
    command = [str(arguments.program), "serve", "yes", "format", form, "size", size, "target", target, "channels", name,
               "input", str(source), "output", str(result), *(["set", arguments.set] if arguments.set else [])]
    channels = 1 if name == "gray" else 3
    theirs = OpenCv(pixels, arguments.size, arguments.target, code, channels)
    ours = Ours(command)
    found = {"ours": [], "opencv": []}
    # The first round warms up.
    for turn in range(arguments.rounds + 1):
        for key, runner in (("ours", ours), ("opencv", theirs)):
            times = runner.round(arguments.frames)
            found[key] += times if turn else []
    ours.close()
    least = {key: min(times) for key, times in found.items()}
    median = {key: statistics.median(times) for key, times in found.items()}
    most, mean = differences(numpy.frombuffer(result.read_bytes(), numpy.uint8), theirs.out, channels == 1 and form != "bgr8")
    print(f"{form:5s} {name:4s} {least['ours']:9.4f} {least['opencv']:9.4f} {least['ours'] / least['opencv']:6.3f}"
          f" {median['ours']:11.4f} {median['opencv']:9.4f} {median['ours'] / median['opencv']:6.3f}"
          f"   {most:.1f} at most, {mean:.2f} on average")
    if mean > MEAN_MOST:
        raise ValueError(f"{form} {name}: expected pixels within {MEAN_MOST} levels of OpenCV's on average, found {mean:.2f}")
    return least["ours"] / least["opencv"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path, help="the example preprocess_bench")
    parser.add_argument("--size", type=sides, default=(1280, 720))
    parser.add_argument("--target", type=sides, default=(256, 256))
    parser.add_argument("--format", nargs="+", choices=list(CODES), default=["yuyv"])
    parser.add_argument("--set", choices=["scalar", "avx2", "neon"], help="our instruction set (default: the best)")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--frames", type=int, default=20, help="frames a round")
    parser.add_argument("--most", type=float, help="the largest of our ratios that is good")
    arguments = parser.parse_args()
    try:
        import cv2

        (width, height), (to_width, to_height) = arguments.size, arguments.target
        print(f"{width}x{height} to {to_width}x{to_height} by area, one thread, OpenCV {cv2.__version__}")
        print(f"{'':10s} {'least ms':>9s} {'OpenCV':>9s} {'ratio':>6s} {'median ms':>11s} {'OpenCV':>9s} {'ratio':>6s}   levels between")
        with tempfile.TemporaryDirectory() as folder:
            worst = max(
                measure(arguments, form, name, code, pathlib.Path(folder))
                for form in arguments.format
                for name, code in zip(("gray", "rgb"), CODES[form])
            )
    except (ImportError, OSError, ValueError) as fault:
        print(f"compare_opencv.py: {fault}", file=sys.stderr)
        return 2
    return 1 if arguments.most and worst > arguments.most else 0


if __name__ == "__main__":
    sys.exit(main())
