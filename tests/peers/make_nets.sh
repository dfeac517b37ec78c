#!/usr/bin/env bash
# Makes the networks for the comparison with other runtimes, with unet-host alone and on its synthetic data.
#
#     UNET_HOST=target/release/unet-host tests/peers/make_nets.sh OUT
#
# OUT is a new or empty directory. For each network NAME of the list below it receives NAME_f32.onnx, NAME_int8.onnx
# (QLinearConv) and NAME_qdq.onnx (the same numbers as QuantizeLinear and DequantizeLinear pairs), all with input
# 1x1x256x256, 4 classes and depth 4. The runs stay in OUT/runs, for export-witness and `unet-host val`. They are
# trained for a few steps only: speed and agreement do not depend on training.
set -Eeuo pipefail

if [[ $# -ne 1 || $1 == -* ]]; then
    echo "usage: make_nets.sh OUT" >&2
    exit 2
fi
out=$1
host=${UNET_HOST:-unet-host}
command -v "$host" >/dev/null || { echo "make_nets.sh: $host is no program; name it with UNET_HOST" >&2; exit 2; }
mkdir -p "$out"
if [[ -n $(ls -A "$out") ]]; then
    echo "make_nets.sh: $out is not empty" >&2
    exit 2
fi

trap 'echo "make_nets.sh: failed; the end of $out/log:" >&2; tail -n 5 "$out/log" >&2' ERR

# The demo writes labelled images, and its own small run. One of the five classes is ignored.
"$host" demo --output "$out/demo" --images 16 --epochs 1 >"$out/log" 2>&1
mv "$out/demo/data" "$out/data"
rm -r "$out/demo"
echo 'ignore = 240' >"$out/data/dataset.toml"

# train RUN BASE UPSAMPLING
train() {
    "$host" train "$out/data" --runs "$out/runs" --name "$1" --size 256x256 --channels 1 --depth 4 --base "$2" \
        --upsampling "$3" --epochs 1 --batch 2 >>"$out/log" 2>&1
}

# net NAME RUN [FLAG OF EXPORT]: three files of a trained run.
net() {
    local run=$out/runs/$2
    "$host" export "$run" "${@:3}" | tee -a "$out/log"
    "$host" quantize "$run" >>"$out/log" 2>&1
    "$host" quantize "$run" --format qdq >>"$out/log" 2>&1
    for form in f32 int8 qdq; do
        cp "$run/export/model_$form.onnx" "$out/$1_$form.onnx"
    done
    printf '%s: done after %d s\n' "$1" "$SECONDS"
}

for base in 16 8 32; do
    train "base$base" "$base" nearest
    net "base${base}_folded" "base$base" --fold-upsample
    # The plain form comes last, so that it is the one in the run directory.
    net "base$base" "base$base"
done
train base16_upconv 16 up-convolution
net base16_upconv base16_upconv
