//! A program without std, allocator and C library that uses `unet-shared`: if it links, the crate needs none of them.
//!
//! For x86-64 Linux. Exits with 0 if all results are as expected, 1 if not, and 2 on a panic.

#![no_std]
#![no_main]

use core::arch::{asm, global_asm};
use core::panic::PanicInfo;
use unet_shared::image::{ImageView, PixelFormat};
use unet_shared::label::{LabelTable, LabelValue};
use unet_shared::mask::argmax_u8;
use unet_shared::metrics::ConfusionMatrix;
use unet_shared::preprocess::{Preprocess, Scratch};

/// The mean of four pixels, their class and a count, each by `unet-shared`.
fn main() -> bool {
    let spec = Preprocess { width: 1, height: 1, ..Preprocess::CLASSIC };
    let Ok(view) = ImageView::packed(&[0, 10, 20, 30], 2, 2, PixelFormat::Gray8) else { return false };
    let (mut row, mut resized, mut sums, mut taps) = ([0; 64], [0; 64], [0; 64], [0; 64]);
    let mut scratch = Scratch { row: &mut row, resized: &mut resized, sums: &mut sums, taps: &mut taps };
    let mut mean = [0];
    let resized = spec.run(&view, &mut mean, &mut scratch).is_ok() && mean == [15];
    let table = spec.quantized_table(0, 1.0 / 255.0, 0);
    let identity = (0..=255u8).all(|v| table[v as usize] == v);

    let mut labels = LabelTable::new();
    let known = [29, 76].iter().all(|&v| labels.push_class(&[LabelValue::Gray(v)]).is_ok());
    let encoded = known && labels.id_of(LabelValue::Gray(76)) == Some(1);

    let mut mask = [9; 2];
    let chosen = argmax_u8(&[1, 7, 3, 7], 2, &mut mask).is_ok() && mask == [1, 0];
    let counted =
        ConfusionMatrix::new([0u64; 4], 2).is_ok_and(|mut m| m.add(&[1, 1], &mask).is_ok() && m.iou(1) == Some(0.5));
    resized && identity && encoded && chosen && counted
}

// At the start of a process the stack is aligned as in a function body, not as at its entry; the call fixes that.
global_asm!(".globl _start", "_start:", "xor ebp, ebp", "and rsp, -16", "call {start}", start = sym start);

extern "C" fn start() -> ! {
    exit(if main() { 0 } else { 1 })
}

fn exit(status: i32) -> ! {
    // SAFETY: the system call 231, exit_group, takes the status and does not return.
    unsafe { asm!("syscall", in("eax") 231, in("edi") status, options(noreturn)) }
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    exit(2)
}

/// The precompiled core library refers to this symbol, which std defines. Nothing unwinds here.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

// The compiler emits calls of these four functions, which the C library usually provides. String instructions prevent
// that they are compiled into calls of themselves.

/// # Safety
/// As for C's `memcpy`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    // SAFETY: the caller guarantees `count` bytes at both; the ABI keeps the direction flag clear.
    unsafe { asm!("rep movsb", inout("rcx") count => _, inout("rdi") to => _, inout("rsi") from => _) };
    to
}

/// # Safety
/// As for C's `memmove`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    if (to as usize).wrapping_sub(from as usize) >= count {
        // SAFETY: as for this function; bytes are read before they are overwritten.
        return unsafe { memcpy(to, from, count) };
    }
    // SAFETY: the caller guarantees `count` bytes at both, at least one here; the direction flag is cleared again.
    unsafe {
        let (last_to, last_from) = (to.add(count - 1), from.add(count - 1));
        asm!("std", "rep movsb", "cld", inout("rcx") count => _, inout("rdi") last_to => _, inout("rsi") last_from => _);
    }
    to
}

/// # Safety
/// As for C's `memset`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, value: i32, count: usize) -> *mut u8 {
    // SAFETY: the caller guarantees `count` bytes; the ABI keeps the direction flag clear.
    unsafe { asm!("rep stosb", inout("rcx") count => _, inout("rdi") to => _, in("al") value as u8) };
    to
}

/// # Safety
/// As for C's `memcmp`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, count: usize) -> i32 {
    for i in 0..count {
        // SAFETY: the caller guarantees `count` bytes at both; volatile reads are not merged into a call of memcmp.
        let (left, right) = unsafe { (a.add(i).read_volatile(), b.add(i).read_volatile()) };
        if left != right {
            return i32::from(left) - i32::from(right);
        }
    }
    0
}
