#!/usr/bin/env python3
"""Compares our ONNX files and their outputs with onnxruntime, which shares no code with us.

    python3 -m venv V && V/bin/pip install -r tests/peers/requirements.txt
    cargo run --release -p unet-tests --bin export-witness -- RUN WITNESS
    V/bin/python check_onnx.py f32 RUN/export/model_f32.onnx --input WITNESS/frames.npy --expected WITNESS/logits.npy
    cargo run --release -p unet-tests --bin node-outputs -- MODEL_INT8.onnx WITNESS/frames_u8.npy DUMP integer
    V/bin/python check_onnx.py nodes MODEL_INT8.onnx --dump DUMP --step 0 --share 0     # equal bytes, on a VNNI machine

`f32` runs the model on every frame of frames.npy (N, C, H, W) and prints the largest absolute difference from
logits.npy (N, K, H, W).
`nodes` reads the files of node-outputs. Each node of the model runs alone, on the inputs that it had in our run, and its outputs are compared:
the share of values that differ, and the largest difference in steps. Then the whole model runs on the same frames, and the share of
pixels with equal classes is printed; ties go to the lowest class on both sides.

Exit code 0: within the limits; 1: beyond them; 2: bad file or argument.
"""
import argparse
import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime


def session(model):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    source = model.SerializeToString() if isinstance(model, onnx.ModelProto) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def only_input(running):
    inputs = running.get_inputs()
    if len(inputs) != 1:
        raise ValueError(f"expected a model with one input, found {[i.name for i in inputs]}")
    return inputs[0].name


def check_f32(arguments):
    frames, expected = np.load(arguments.input), np.load(arguments.expected)
    if frames.ndim != 4 or expected.ndim != 4 or len(frames) != len(expected) or not len(frames):
        raise ValueError(f"frames {frames.shape} and logits {expected.shape} do not belong together")
    running = session(arguments.model)
    name, worst, agreeing = only_input(running), 0.0, 0
    for frame, ours in zip(frames, expected):
        theirs = running.run(None, {name: frame[None]})[0][0]
        if theirs.shape != ours.shape:
            raise ValueError(f"onnxruntime gives {theirs.shape}, expected {ours.shape}")
        difference = np.abs(theirs.astype(np.float64) - ours)
        if not np.isfinite(difference).all():
            raise ValueError("logits that are not finite")
        worst = max(worst, float(difference.max()))
        agreeing += int((theirs.argmax(0) == ours.argmax(0)).sum())
    pixels = len(frames) * expected.shape[2] * expected.shape[3]
    print(f"{len(frames)} frames: largest absolute difference {worst:.3g} (at most {arguments.tolerance:.3g}); "
          f"classes of {agreeing} of {pixels} pixels agree ({agreeing / pixels:.6f})")
    return worst <= arguments.tolerance


def tensors(folder):
    """The arrays of one directory of node-outputs, loaded lazily."""
    files = json.loads((folder / "tensors.json").read_text())
    return {name: folder / file for name, file in files.items()}


def value_info(name, array):
    return onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)


def single_node(model, node, inputs, output):
    constants = [t for t in model.graph.initializer if t.name in node.input]
    graph = onnx.helper.make_graph(
        [node], "node", [value_info(n, a) for n, a in inputs.items()], [value_info(node.output[0], output)], constants)
    return onnx.helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


def check_nodes(arguments):
    model = onnx.load(arguments.model)
    constants = {t.name for t in model.graph.initializer}
    folders = sorted(pathlib.Path(arguments.dump).glob("frame_*"))
    if not folders:
        raise ValueError(f"{arguments.dump} holds no folder frame_*; write it with node-outputs")
    rows, unknown = {}, {}
    for node in model.graph.node:
        if len(node.output) != 1:
            raise ValueError(f"node {node.name}: expected one output, found {len(node.output)}")
        name, running = node.name or node.output[0], None
        for folder in folders:
            files = tensors(folder)
            wanted = [n for n in dict.fromkeys(node.input) if n and n not in constants]
            missing = [n for n in [*wanted, node.output[0]] if n not in files]
            if missing:
                raise ValueError(f"{folder} lacks the tensors {missing}: is it the dump of another model?")
            inputs, ours = {n: np.load(files[n]) for n in wanted}, np.load(files[node.output[0]])
            if not inputs or not any(a.dtype in (np.uint8, np.int8) for a in [ours, *inputs.values()]):
                break
            if running is None:
                try:
                    running = session(single_node(model, node, inputs, ours))
                except Exception as fault:  # The runtime has many exceptions, and each means: no such kernel.
                    unknown[name] = f"{node.op_type}: {str(fault).splitlines()[0][:100]}"
                    break
            theirs = running.run(None, inputs)[0]
            if theirs.shape != ours.shape or theirs.dtype != ours.dtype:
                raise ValueError(f"node {name}: onnxruntime gives {theirs.dtype} {theirs.shape}, "
                                 f"we have {ours.dtype} {ours.shape}")
            steps = np.abs(theirs.astype(np.float64) - ours)
            row = rows.setdefault(name, [node.op_type, 0, 0, 0.0])
            row[1] += steps.size
            row[2] += int((steps > 0).sum())
            row[3] = max(row[3], float(steps.max(initial=0)))
    print(f"{'node':20s} {'operator':18s} {'values':>10s} {'differ':>8s} {'share':>10s} {'step':>6s}")
    for name, (operator, values, differing, step) in rows.items():
        print(f"{name:20s} {operator:18s} {values:10d} {differing:8d} {differing / values:10.2e} {step:6.3g}")
    for name, why in unknown.items():
        print(f"{name:20s} not compared, onnxruntime cannot run it alone: {why}")
    values, differing = sum(r[1] for r in rows.values()), sum(r[2] for r in rows.values())
    worst, share = max(r[3] for r in rows.values()), max(r[2] / r[1] for r in rows.values())
    print(f"{len(rows)} nodes, {len(folders)} frames: {differing} of {values} values differ, by {worst:.3g} steps at most; "
          f"largest share of a node {share:.2e}")
    check_classes(model, folders)
    return worst <= arguments.step and share <= arguments.share and not unknown


def check_classes(model, folders):
    """Compares our outputs of the whole model with those of onnxruntime."""
    running = session(model)
    name = only_input(running)
    outputs = [o.name for o in running.get_outputs()]
    agreeing, pixels = 0, 0
    for folder in folders:
        frame, whole = np.load(tensors(folder)[name]), tensors(folder / "whole")
        # A class map if the model has one, else logits.
        theirs = dict(zip(outputs, running.run(None, {name: frame})))
        chosen = next((o for o in outputs if theirs[o].shape[1] == 1 or theirs[o].ndim == 3), outputs[0])
        theirs, ours = theirs[chosen], np.load(whole[chosen])
        if theirs.ndim == 4 and theirs.shape[1] > 1:
            theirs, ours = theirs.argmax(1), ours.argmax(1)
        agreeing += int((theirs == ours).sum())
        pixels += theirs.size
    print(f"whole model: the class of {agreeing} of {pixels} pixels agrees ({agreeing / pixels:.6f})")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    f32 = verbs.add_parser("f32", help="a float model against logits that we computed")
    f32.add_argument("model")
    f32.add_argument("--input", required=True, help="frames.npy: N, C, H, W of the model's input type")
    f32.add_argument("--expected", required=True, help="logits.npy: N, K, H, W of f32")
    f32.add_argument("--tolerance", type=float, default=1e-4, help="largest absolute difference (default 1e-4)")
    f32.set_defaults(check=check_f32)
    nodes = verbs.add_parser("nodes", help="a quantized model node by node against what node-outputs wrote")
    nodes.add_argument("model")
    nodes.add_argument("--dump", required=True, help="the folder that node-outputs wrote")
    nodes.add_argument("--step", type=float, default=1, help="largest difference of a value (default 1 step)")
    nodes.add_argument("--share", type=float, default=0.001, help="largest share of a node's values (default 0.001)")
    nodes.set_defaults(check=check_nodes)
    arguments = parser.parse_args()
    try:
        return 0 if arguments.check(arguments) else 1
    except (OSError, ValueError, onnx.checker.ValidationError) as fault:
        print(f"check_onnx.py: {fault}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
