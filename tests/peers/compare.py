#!/usr/bin/env python3
"""Times unet-edge, onnxruntime and OpenVINO on the same networks, alternating in one run.

    python3 -m venv V && V/bin/pip install -r tests/peers/requirements.txt
    UNET_HOST=target/release/unet-host tests/peers/make_nets.sh NETS
    V/bin/python tests/peers/compare.py NETS --unet-edge target/release/unet-edge [--net base16 ...] [--threads 1 2]

NETS contains NAME_int8.onnx (QLinearConv, for onnxruntime and us) and NAME_qdq.onnx (the same numbers in the form that OpenVINO reads); if
NAME_folded_int8.onnx exists, we run it too. Each runtime has one process per network and number of threads, which runs a few frames per round, so
that noise on the machine affects all equally. A runtime is judged by its minimum time per frame; the median is printed too. One line for
each: milliseconds, peak memory, and the ratio of our minimum time to theirs.

--isa avx2 limits us and OpenVINO to AVX2 (onnxruntime has no such option, and is left out), and first reports whether OpenVINO's sums are
correct there: 16-bit sums of two products saturate if two neighbouring weights are large.

Exit code 0: done; 1: with --most R, one of our ratios to the fastest peer with correct sums is above R; 2: bad file, program or argument.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

FORMS = {"onnxruntime": "int8", "openvino": "qdq"}


def runner(runtime, model, threads):
    """A function of a frame, and the shape and type of frames."""
    if runtime == "onnxruntime":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        (described,) = session.get_inputs()
        return lambda frame: session.run(None, {described.name: frame})[0], described.shape, described.type
    import openvino

    settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(model, "CPU", settings)
    request, described = compiled.create_infer_request(), compiled.inputs[0]
    run = lambda frame: request.infer({0: frame})[compiled.outputs[0]]
    return run, list(described.shape), str(described.element_type)


def serve(runtime, model, threads):
    """The child process: runs frames on request, and prints a line of JSON per round."""
    import numpy

    run, shape, kind = runner(runtime, model, threads)
    frames = numpy.random.default_rng(1).integers(0, 256, size=(4, *shape)).astype(numpy.uint8)
    if "float" in kind or "f32" in kind:
        frames = (frames / 255).astype(numpy.float32)
    run(frames[0])
    print("ready", flush=True)
    for line in sys.stdin:
        times = []
        for index in range(int(line)):
            start = time.perf_counter()
            run(frames[index % 4])
            times.append((time.perf_counter() - start) * 1e3)
        status = pathlib.Path("/proc/self/status").read_text()
        peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
        print(json.dumps({"frame_ms": times, "peak_rss_kib": int(peak)}), flush=True)


class Peer:
    def __init__(self, runtime, model, threads):
        command = [sys.executable, __file__, "serve", runtime, str(model), str(threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self.process.stdout.readline().strip() != "ready":
            raise ValueError(f"{runtime} could not run {model}: {self.process.stderr.read().strip()[-400:]}")

    def round(self, frames):
        self.process.stdin.write(f"{frames}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.communicate()


class Ours:
    def __init__(self, program, model, threads, flags):
        self.command = [program, "bench", str(model), "--threads", str(threads), "--json", *flags]

    def round(self, frames):
        done = subprocess.run([*self.command, "--frames", str(frames)], capture_output=True, text=True)
        if done.returncode:
            raise ValueError(f"{' '.join(self.command)}: exit code {done.returncode}: {done.stderr.strip()[-400:]}")
        return json.loads(done.stdout)

    def close(self):
        pass


def saturates(runtime, folder):
    """Whether sums of the largest weights and inputs saturate: 144 products of 1 and 1."""
    import numpy
    from onnx import TensorProto, helper, numpy_helper, save

    channels = 16
    constants = {
        "input_scale": numpy.float32(1 / 255), "zero": numpy.uint8(0), "output_scale": numpy.float32(200 / 255),
        "weight_scale": numpy.full(channels, 1 / 127, numpy.float32), "weight_zero": numpy.zeros(channels, numpy.int8),
        "weight": numpy.full((channels, channels, 3, 3), 127, numpy.int8),
    }
    node = helper.make_node
    nodes = [
        node("QuantizeLinear", ["x", "input_scale", "zero"], ["xq"]),
        node("DequantizeLinear", ["xq", "input_scale", "zero"], ["xd"]),
        node("DequantizeLinear", ["weight", "weight_scale", "weight_zero"], ["wd"], axis=0),
        node("Conv", ["xd", "wd"], ["sum"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("QuantizeLinear", ["sum", "output_scale", "zero"], ["yq"]),
        node("DequantizeLinear", ["yq", "output_scale", "zero"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, 8, 8]) for name in "xy"]
    values = [numpy_helper.from_array(numpy.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "saturation", ends[:1], ends[1:], values)
    path = pathlib.Path(folder) / "saturation.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))
    run, *_ = runner(runtime, str(path), 1)
    return float(run(numpy.ones((1, channels, 8, 8), numpy.float32))[0, 0, 4, 4]) < 143


def measure(arguments, net, saturating):
    models = {form: arguments.nets / f"{net}_{form}.onnx" for form in ("int8", "qdq")}
    for model in models.values():
        if not model.is_file():
            raise ValueError(f"{model}: no such file; make_nets.sh makes one")
    flags = ["--kernel", arguments.isa] if arguments.isa else []
    folded, held = arguments.nets / f"{net}_folded_int8.onnx", ["openvino"] if arguments.isa else list(FORMS)
    runners, found = {}, {}
    try:
        for threads in arguments.threads:
            for runtime in held:
                runners[runtime, threads] = Peer(runtime, models[FORMS[runtime]], threads)
            runners["unet-edge", threads] = Ours(arguments.unet_edge, models["int8"], threads, flags)
            if folded.is_file():
                runners["unet-edge folded", threads] = Ours(arguments.unet_edge, folded, threads, flags)
        for _ in range(arguments.rounds):
            for key, runtime in runners.items():
                answer = runtime.round(arguments.frames)
                times, _ = found.get(key, ([], 0))
                found[key] = (times + answer["frame_ms"], answer["peak_rss_kib"] or 0)
    finally:
        for runtime in runners.values():
            runtime.close()
    worst = 0.0
    for (name, threads), (times, peak) in found.items():
        ratios = []
        if name.startswith("unet-edge"):
            for other in held:
                ratio = min(times) / min(found[other, threads][0])
                ratios.append(f"{ratio:.2f} of {other}")
            right = [min(found[other, threads][0]) for other in held if not saturating.get(other)]
            if right:
                worst = max(worst, min(times) / min(right))
        elif saturating.get(name):
            ratios.append("sums saturate: its classes are not the model's")
        print(f"{net:16s} {name:17s} {threads:2d} {min(times):9.2f} {statistics.median(times):9.2f} {peak:9d}  {', '.join(ratios)}")
    return worst


def main():
    if sys.argv[1:2] == ["serve"]:
        return serve(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("nets", type=pathlib.Path, help="the folder that make_nets.sh filled")
    parser.add_argument("--unet-edge", default="unet-edge", help="the program (default: the one on the PATH)")
    parser.add_argument("--net", nargs="+", default=["base16", "base8", "base32", "base16_upconv"])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--frames", type=int, default=5, help="frames a round")
    parser.add_argument("--isa", choices=["avx2"], help="hold all to this instruction set")
    parser.add_argument("--most", type=float, help="the largest of our ratios that is good")
    arguments = parser.parse_args()
    if arguments.isa:
        # Before any runtime is loaded, here or in a child.
        os.environ["ONEDNN_MAX_CPU_ISA"] = arguments.isa.upper()
    try:
        saturating = {}
        if arguments.isa:
            import tempfile

            with tempfile.TemporaryDirectory() as folder:
                saturating["openvino"] = saturates("openvino", folder)
        print(f"{'net':16s} {'runtime':17s} {'t':>2s} {'least ms':>9s} {'median ms':>9s} {'peak KiB':>9s}  our least time")
        worst = max(measure(arguments, net, saturating) for net in arguments.net)
    except (OSError, ValueError) as fault:
        print(f"compare.py: {fault}", file=sys.stderr)
        return 2
    return 1 if arguments.most and worst > arguments.most else 0


if __name__ == "__main__":
    sys.exit(main())
