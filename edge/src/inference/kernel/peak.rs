//! The most that a core can multiply: a kernel's own instructions on registers alone, with nothing else in the loop.

#![allow(unsafe_code, reason = "peaks are measured on instructions that no compiler can rearrange")]

use std::time::Instant;

use super::Kernel;

/// Multiply-accumulates a second of one core; none where the kernel's instructions are not measured.
pub(super) fn peak(kernel: Kernel) -> Option<f64> {
    const ROUNDS: u64 = 20_000;
    let mut most: f64 = 0.0;
    // Many short runs, since one that the system interrupts says nothing.
    for _ in 0..200 {
        let start = Instant::now();
        let multiplications = match kernel {
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512Vnni if kernel.is_available() => x86::vnni_512(ROUNDS),
            #[cfg(target_arch = "x86_64")]
            Kernel::AvxVnni if kernel.is_available() => x86::vnni_256(ROUNDS),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 if kernel.is_available() => x86::pairs_256(ROUNDS),
            _ => return None,
        };
        most = most.max(multiplications as f64 / start.elapsed().as_secs_f64());
    }
    Some(most)
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
        32,
        "vpmaddubsw ymm12, ymm14, ymm15\nvpmaddwd ymm12, ymm12, ymm13\nvpaddd ymm\\sum, ymm\\sum, ymm12",
        "0,1,2,3,4,5,6,7,8,9,10,11"
    );
}
