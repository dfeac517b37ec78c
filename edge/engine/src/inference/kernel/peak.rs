//! The most that a core can multiply: a kernel's own instructions on registers alone, with nothing else in the loop.

#![allow(unsafe_code, reason = "peaks are measured on instructions that no compiler can rearrange")]

use super::Kernel;

/// Multiply-accumulates a second of one core; none where the kernel's instructions are not measured.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) fn peak(kernel: Kernel) -> Option<f64> {
    use std::time::Instant;

    const ROUNDS: u64 = 20_000;
    if !kernel.is_available() {
        return None;
    }
    let run: fn(u64) -> u64 = match kernel {
        #[cfg(target_arch = "x86_64")]
        Kernel::Avx512Vnni => x86::vnni_512,
        #[cfg(target_arch = "x86_64")]
        Kernel::AvxVnni => x86::vnni_256,
        #[cfg(target_arch = "x86_64")]
        Kernel::Avx2 => x86::pairs_256,
        #[cfg(target_arch = "aarch64")]
        Kernel::Neon => arm::pairs,
        #[cfg(target_arch = "aarch64")]
        Kernel::NeonDot => arm::sdot,
        #[cfg(target_arch = "aarch64")]
        Kernel::NeonI8mm => arm::sudot,
        _ => return None,
    };
    // Many short runs, since one that the system interrupts says nothing.
    let rates = (0..200).map(|_| {
        let start = Instant::now();
        run(ROUNDS) as f64 / start.elapsed().as_secs_f64()
    });
    rates.max_by(f64::total_cmp)
}

/// As above, of a core whose only kernel is the scalar one.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) fn peak(_: Kernel) -> Option<f64> {
    None
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::asm;

    /// A loop over twelve independent sums; gives the multiply-accumulates of `rounds`.
    macro_rules! rounds {
        ($name:ident, $each:literal, $body:literal, $registers:literal) => {
            pub fn $name(mut rounds: u64) -> u64 {
                let multiplications = rounds * 12 * $each;
                // SAFETY: the caller has found the instructions to be there; they touch no memory, and the registers
                // that they write are named.
                unsafe {
                    asm!(
                        "2:",
                        concat!(".irp sum,", $registers),
                        $body,
                        ".endr",
                        "dec {rounds}",
                        "jnz 2b",
                        rounds = inout(reg) rounds,
                        out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _,
                        out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                        out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
                        options(nomem, nostack)
                    );
                }
                std::hint::black_box(rounds);
                multiplications
            }
        };
    }

    rounds!(vnni_512, 64, "vpdpbusd zmm\\sum, zmm14, zmm15", "0,1,2,3,4,5,6,7,8,9,10,11");
    rounds!(vnni_256, 32, "{{vex}} vpdpbusd ymm\\sum, ymm14, ymm15", "0,1,2,3,4,5,6,7,8,9,10,11");
    rounds!(
        pairs_256,
        16,
        "vpmaddwd ymm12, ymm14, ymm15\nvpaddd ymm\\sum, ymm\\sum, ymm12",
        "0,1,2,3,4,5,6,7,8,9,10,11"
    );
}

#[cfg(target_arch = "aarch64")]
mod arm {
    use std::arch::asm;

    /// A loop over sixteen independent sums; gives the multiply-accumulates of `rounds`.
    macro_rules! rounds {
        ($name:ident, $body:literal) => {
            pub fn $name(mut rounds: u64) -> u64 {
                let multiplications = rounds * 16 * 16;
                // SAFETY: the caller has found the instructions to be there; they touch no memory, and the registers
                // that they write are named.
                unsafe {
                    asm!(
                        ".arch_extension dotprod",
                        ".arch_extension i8mm",
                        "2:",
                        ".irp sum,0,1,2,3,4,5,6,7,16,17,18,19,20,21,22,23",
                        $body,
                        ".endr",
                        "subs {rounds}, {rounds}, #1",
                        "b.ne 2b",
                        rounds = inout(reg) rounds,
                        out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _,
                        out("v7") _, out("v16") _, out("v17") _, out("v18") _, out("v19") _, out("v20") _,
                        out("v21") _, out("v22") _, out("v23") _, out("v24") _, out("v30") _, out("v31") _,
                        options(nomem, nostack)
                    );
                }
                std::hint::black_box(rounds);
                multiplications
            }
        };
    }

    rounds!(sdot, "sdot v\\sum\\().4s, v30.16b, v31.4b[0]");
    rounds!(sudot, "sudot v\\sum\\().4s, v30.16b, v31.4b[0]");
    rounds!(pairs, "smull v24.8h, v30.8b, v31.8b\nsmlal2 v24.8h, v30.16b, v31.16b\nsadalp v\\sum\\().4s, v24.8h");
}
