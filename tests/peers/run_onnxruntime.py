#!/usr/bin/env python3
"""Runs a model in onnxruntime on random frames, with one thread: run_onnxruntime.py MODEL.onnx FRAMES

For count_aarch64; needs only numpy and onnxruntime. Prints a digest of the last output.
"""
import hashlib
import sys

import numpy as np
import onnxruntime

TYPES = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32}


def main():
    model, frames = sys.argv[1], int(sys.argv[2])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    running = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (described,) = running.get_inputs()
    drawn = np.random.default_rng(1).integers(0, 256, size=described.shape)
    # A float model gets image values divided by 255.
    scale = 1 if described.type == "tensor(uint8)" else 255
    frame = (drawn / scale).astype(TYPES[described.type])
    for _ in range(frames):
        outputs = running.run(None, {described.name: frame})
    print(hashlib.sha256(outputs[0].tobytes()).hexdigest())


main()
