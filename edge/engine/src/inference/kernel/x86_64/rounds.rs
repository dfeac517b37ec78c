//! The multiply instructions alone, for the measurement of a core's peak.

/// Defines `multiply`: a loop of `$body` over twelve independent sums, each of which is `$each` multiply-accumulates. `\\sum` is
/// the number of the sum's register; the factors are in registers 14 and 15.
macro_rules! rounds {
    ($each:literal, $body:literal) => {
        unsafe fn multiply(mut rounds: u64) -> u64 {
            let macs = rounds * 12 * $each;
            // SAFETY: the caller promises that the processor has the instructions; they touch no memory, and the registers
            // that they write are listed.
            unsafe {
                ::std::arch::asm!(
                    "2:",
                    ".irp sum,0,1,2,3,4,5,6,7,8,9,10,11",
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
            macs
        }
    };
}

pub(crate) use rounds;
