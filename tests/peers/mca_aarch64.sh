#!/usr/bin/env bash
# How close the inner loops of the ARM compute kernels come to the peak multiply rate of a core, by llvm-mca:
#
#     tests/peers/mca_aarch64.sh PROGRAM [LOOPS]
#
# PROGRAM is any aarch64 binary with the compute kernels: `unet-edge`, stripped or not, or the bench `kernels`. The
# innermost loop of the kernel's largest tile is taken from its disassembly (three taps by 6 pixels and 16 channels for
# neon-dot; one tap by 4 pixels and 4 channels for neon; eight input channels by 4 tiles and 16 channels for
# neon-tiles), and llvm-mca computes the cycles per iteration. The peak is that of the multiplications alone. Exits with 1 if a loop is below its minimum share of the peak. The loops are
# written to the directory LOOPS if it is given.
#
# Needs llvm-mca and llvm-objdump (Debian: the package llvm; LLVM 14 was tried, and 19). LLVM_MCA and LLVM_OBJDUMP name
# others; DOT_CORE and NEON_CORE name other cores. llvm-mca uses its model of the Cortex-A57 for cortex-a72 and
# cortex-a76; it issues three operations per cycle, a Cortex-A76 four. Its sibling neoverse-n1 has its own model from
# LLVM 16 on. The models have no cache: all loads hit.
set -Eeuo pipefail

if [[ $# -lt 1 || $# -gt 2 || $1 == -* ]]; then
    echo "usage: mca_aarch64.sh PROGRAM [LOOPS]" >&2
    exit 2
fi
program=$1
mca=${LLVM_MCA:-llvm-mca} objdump=${LLVM_OBJDUMP:-llvm-objdump}
for tool in "$mca" "$objdump"; do
    command -v "$tool" >/dev/null || { echo "mca_aarch64.sh: $tool is no program; Debian has it in the package llvm" >&2; exit 2; }
done
[[ -f $program ]] || { echo "mca_aarch64.sh: $program is no file" >&2; exit 2; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
loops=${2:-$scratch}
mkdir -p "$loops"
"$objdump" -d --no-show-raw-insn --mattr=+dotprod,+i8mm "$program" >"$scratch/program.s"

# loop PATTERN SUM: the innermost loop with instructions of both patterns and the most sums, the first register of SUM;
# of several the one with the most of PATTERN. It loads vectors: the loops that measure the peak do not.
loop() {
    awk -v pattern="$1" -v sum="$2" '
        /^ *[0-9a-f]+:/ {
            address = $1
            sub(":", "", address)
            sub("^[^:]*:[ \t]*", "")
            sub("[ \t]*//.*", "")
            at[address] = ++count
            text[count] = $0
            if (match($0, /0x[0-9a-f]+ <[^>]*>/)) {
                target = substr($0, RSTART + 2, index($0, " <") - RSTART - 2)
                sub(/0x[0-9a-f]+ <.*/, "loop")
                text[count] = $0
                if ($1 ~ /^(b\.|cbn?z|tbn?z)/ && target in at) {
                    # A backward branch inside would make this an outer loop.
                    if (at[target] > last) consider(at[target])
                    last = count
                }
            }
        }
        function consider(start, line, products, loads, sums, seen, words) {
            split("", seen)
            for (line = start; line <= count; line++) {
                if (text[line] ~ /^(ret|bl|blr)([ \t]|$)/) return
                if (text[line] ~ pattern) products++
                if (text[line] ~ /^ld[rp1][ \t]+[q{]/) loads++
                if (text[line] ~ sum) {
                    split(text[line], words)
                    if (!(words[2] in seen)) sums++
                    seen[words[2]]
                }
            }
            if (products && loads && (sums > most_sums || (sums == most_sums && products > most_products))) {
                most_sums = sums
                most_products = products
                best = "loop:"
                for (line = start; line <= count; line++) best = best "\n" text[line]
            }
        }
        END { if (best == "") exit 1; print best }
    ' "$scratch/program.s"
}

# cycles CORE FILE: cycles of a thousand iterations.
cycles() {
    "$mca" -mtriple=aarch64 "-mcpu=$1" -mattr=+dotprod -iterations=1000 "$2" | awk '/^Total Cycles:/ { print $3 }'
}

status=0
printf '%-10s %-11s %8s %12s %8s %11s %11s %7s\n' kernel core multiply instructions cycles 'a cycle' 'at most' share
# report KERNEL CORE PATTERN SUM LEAST INSTRUCTION: the last is one multiplication with register NUMBER.
report() {
    local file=$loops/$1.s number
    loop "$3" "$4" >"$file" || { echo "mca_aarch64.sh: $program has no loop of the kernel $1" >&2; exit 2; }
    for number in {0..15}; do
        printf '%s\n' "${6//NUMBER/$number}"
    done >"$scratch/peak.s"
    awk -v kernel="$1" -v core="$2" -v least="$5" -v multiply="$(grep -cE "$3" "$file")" \
        -v instructions="$(($(wc -l <"$file") - 1))" -v cycles="$(cycles "$2" "$file")" -v peak="$(cycles "$2" "$scratch/peak.s")" '
        BEGIN {
            rate = multiply / (cycles / 1000)
            most = 16 / (peak / 1000)
            share = 100 * rate / most
            printf "%-10s %-11s %8d %12d %8.1f %11.3f %11.3f %5.1f %%", kernel, core, multiply, instructions, cycles / 1000, rate, most, share
            print (share < least ? ", less than " least " %" : "")
            exit share < least
        }' || status=1
}

report neon-dot "${DOT_CORE:-cortex-a76}" '^sdot' '^sdot' 85 'sdot vNUMBER.4s, v30.16b, v31.4b[0]'
report neon "${NEON_CORE:-cortex-a72}" '^sm(ul|lal)l?2?[[:space:]].*[.]8h.*[.](8|16)b' '^sadalp' 80 'smlal vNUMBER.8h, v30.8b, v31.8b'
# Winograd's tiles: each of these multiply-accumulates stands for three.
report neon-tiles "${NEON_CORE:-cortex-a72}" '^smlal2?[[:space:]].*[.]4s.*[.]h[[]' '^smlal2?[[:space:]].*[.]4s' 80 'smlal vNUMBER.4s, v30.4h, v31.4h'
exit $status
