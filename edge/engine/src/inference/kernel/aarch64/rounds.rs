//! The multiply instructions alone, for the measurement of a core's peak.

/// Defines `multiply`: a loop of `$body` over sixteen independent sums, each of which is 16 multiply-accumulates. `\\sum` is the
/// number of the sum's register; the factors are in registers 30 and 31, and 24 may be overwritten.
macro_rules! rounds {
    ($body:literal) => {
        unsafe fn multiply(mut rounds: u64) -> u64 {
            let macs = rounds * 16 * 16;
            // SAFETY: the caller promises that the processor has the instructions; they touch no memory, and the registers
            // that they write are listed.
            unsafe {
                ::std::arch::asm!(
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
            macs
        }
    };
}

pub(crate) use rounds;
