# For scripts that build for ARM and run the result here; they source this file.
#
# cross_environment TARGET EMULATOR COMPILER LIBRARIES, for instance
#     cross_environment aarch64-unknown-linux-gnu qemu-aarch64 aarch64-linux-gnu-gcc /usr/aarch64-linux-gnu
# sets what cargo needs, and the array `runner`: the emulator with its arguments. Takes the toolchain of the project where it
# can build for the target and the emulator is there; else the one that .ci/arm-toolchain set up.
# shellcheck shell=bash

cross_environment() {
    local target=$1 emulator=$2 compiler=$3 root=$4 environment name
    name=${target^^}
    name=CARGO_TARGET_${name//-/_}
    # env.sh has a rustc and emulators of its own; what it knows the target by is that rustc.
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

# cross_has TARGET: whether rustc has its standard library.
cross_has() {
    local libraries
    libraries=$("${RUSTC:-rustc}" --print target-libdir --target "$1" 2>/dev/null) && [[ -d "$libraries" ]]
}

# What `cargo build` and `cargo test` take besides --release: tract-core as the board profile has it, which saves a minute.
cross_profile=(--config 'profile.release.package.tract-core.opt-level="z"')
