# For scripts that build for ARM and run the result here; they source this file.
#
# cross_environment TARGET EMULATOR COMPILER LIBRARIES, for instance
#     cross_environment aarch64-unknown-linux-gnu qemu-aarch64 aarch64-linux-gnu-gcc /usr/aarch64-linux-gnu
# sets the environment of cargo, and the array `runner`: the emulator with its arguments. Uses the toolchain of the
# project if it can build for the target and the emulator is installed, otherwise the one of .ci/arm-toolchain.
# shellcheck shell=bash

cross_environment() {
    local target=$1 emulator=$2 compiler=$3 root=$4 environment name
    name=${target^^}
    name=CARGO_TARGET_${name//-/_}
    # env.sh provides its own rustc, which has the target, and emulators.
    if ! cross_has "$target" || ! command -v "$emulator" >/dev/null; then
        environment=${UNET_EDGE_ARM:-$HOME/.cache/unet-edge-arm}/env.sh
        if [[ -f "$environment" ]]; then
            # shellcheck source=/dev/null
            source "$environment"
        fi
    fi
    local linker=${name}_LINKER run=${name}_RUNNER
    export "$linker=${!linker:-$compiler}" "$run=${!run:-$emulator -L $root}"
    read -ra runner <<<"${!run}"
    command -v "${runner[0]}" >/dev/null ||
        fail "${runner[0]}: not found (Debian: the package qemu-user, or .ci/arm-toolchain)"
}

# cross_has TARGET: whether rustc has the standard library of the target.
cross_has() {
    local libraries
    libraries=$("${RUSTC:-rustc}" --print target-libdir --target "$1" 2>/dev/null) && [[ -d "$libraries" ]]
}

# Arguments of `cargo build` and `cargo test` besides --release: tract-core as in the board profile, which saves a
# minute.
cross_profile=(--config 'profile.release.package.tract-core.opt-level="z"')

# cross_edge TARGET: builds `unet-edge`, and sets `edge_for_arm` to its path.
cross_edge() {
    cargo build --quiet --locked --release "${cross_profile[@]}" -p unet-edge --target "$1" || return
    edge_for_arm=$CARGO_TARGET_DIR/$1/release/unet-edge
}
