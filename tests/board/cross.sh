# To be sourced by who builds for aarch64 and runs the result: `target`, and cargo's compiler, linker and runner for it. The
# toolchain of the project where it can build for the target and run it; else what .ci/arm-toolchain set up, whose folder
# UNET_EDGE_ARM names if it is not $HOME/.cache/unet-edge-arm.
# shellcheck shell=bash

target=aarch64-unknown-linux-gnu

has_target() {
    local libraries
    libraries=$(rustc --print target-libdir --target "$target" 2>/dev/null) && [[ -d "$libraries" ]] &&
        command -v qemu-aarch64 >/dev/null
}
if has_target; then
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=${CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER:-aarch64-linux-gnu-gcc}
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER=${CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER:-qemu-aarch64 -L /usr/aarch64-linux-gnu}
else
    environment=${UNET_EDGE_ARM:-$HOME/.cache/unet-edge-arm}/env.sh
    [[ -f "$environment" ]] ||
        fail "expected $target (rustup target add) and qemu-aarch64 (Debian: qemu-user), or $environment (.ci/arm-toolchain)"
    # shellcheck source=/dev/null
    source "$environment"
fi
