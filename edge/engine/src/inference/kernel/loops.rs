//! Loops over bytes that the compiler turns into vector instructions, compiled once for each instruction set that is wider than
//! the one every processor of the architecture has.

use unet_shared::quantization::{Addition, Quantization};

/// The loops, compiled for one instruction set. [`Kernel::loops`](super::Kernel::loops) returns them only where the processor has
/// its instructions.
#[derive(Clone, Copy)]
pub struct Loops {
    pub(crate) quantize: unsafe fn(&[f32], &mut [u8], Quantization),
    pub(crate) add: unsafe fn(&mut [u8], &[u8], &[u8], &Addition),
    pub(crate) classes: unsafe fn(&[u8], usize, usize, &mut [u8]),
}

#[allow(unsafe_code, reason = "calls functions of an instruction set, which `Kernel::loops` found to be available")]
impl Loops {
    /// By the instructions that every processor of the architecture has.
    pub(crate) const BASELINE: Loops = Loops { quantize, add, classes };

    /// [`Quantization::quantize_u8`] of each value.
    pub fn quantize(&self, values: &[f32], out: &mut [u8], quantization: Quantization) {
        // SAFETY: `Kernel::loops` returns only the loops of sets that this processor has.
        unsafe { (self.quantize)(values, out, quantization) }
    }

    /// [`Addition::add`] of each pair of bytes.
    pub fn add(&self, out: &mut [u8], a: &[u8], b: &[u8], addition: &Addition) {
        // SAFETY: as in `quantize`.
        unsafe { (self.add)(out, a, b, addition) }
    }

    /// The class of each of some pixels `stride` bytes apart: the channel of its largest logit, ties to the lowest.
    ///
    /// `pixels` begins with the first logit of the first pixel and includes all logits of the last one.
    pub fn classes(&self, pixels: &[u8], stride: usize, channels: usize, out: &mut [u8]) {
        // SAFETY: as in `quantize`.
        unsafe { (self.classes)(pixels, stride, channels, out) }
    }
}

/// Defines `LOOPS`: the loops by the instructions of `$features`.
#[cfg_attr(not(target_arch = "x86_64"), allow(unused_macros, reason = "every 64-bit ARM core has NEON"))]
macro_rules! loops {
    ($features:literal) => {
        const LOOPS: $crate::inference::kernel::loops::Loops = {
            use unet_shared::quantization::{Addition, Quantization};

            use $crate::inference::kernel::loops;

            #[target_feature(enable = $features)]
            fn quantize(values: &[f32], out: &mut [u8], quantization: Quantization) {
                loops::quantize(values, out, quantization);
            }

            #[target_feature(enable = $features)]
            fn add(out: &mut [u8], a: &[u8], b: &[u8], addition: &Addition) {
                loops::add(out, a, b, addition);
            }

            #[target_feature(enable = $features)]
            fn classes(pixels: &[u8], stride: usize, channels: usize, out: &mut [u8]) {
                loops::classes(pixels, stride, channels, out);
            }

            loops::Loops { quantize, add, classes }
        };
    };
}
#[cfg_attr(not(target_arch = "x86_64"), allow(unused_imports, reason = "every 64-bit ARM core has NEON"))]
pub(crate) use loops;

#[inline(always)]
pub(crate) fn quantize(values: &[f32], out: &mut [u8], quantization: Quantization) {
    let Quantization { scale, zero_point } = quantization;
    for (out, &value) in out.iter_mut().zip(values) {
        *out = byte(value / scale, zero_point);
    }
}

#[inline(always)]
pub(crate) fn add(out: &mut [u8], a: &[u8], b: &[u8], addition: &Addition) {
    let Addition { inputs: [first, second], output, low } = *addition;
    for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
        let [a, b] = [(first, a), (second, b)].map(|(of, byte)| (i32::from(byte) - of.zero_point) as f32 * of.scale);
        *out = byte((a + b) / output.scale, output.zero_point).max(low);
    }
}

/// `saturate(round_half_even(steps) + zero_point)`; NaN gives the zero point.
#[inline(always)]
fn byte(steps: f32, zero_point: i32) -> u8 {
    /// 1.5 * 2^23: added to a value of at most a few thousand, it leaves no fraction bits, and IEEE's addition rounds half to
    /// even; the integer is then in the lowest bits.
    const MAGIC: f32 = 12_582_912.0;
    /// More than the distance between any two bytes.
    const FAR: f32 = 512.0;
    let steps = if steps.is_nan() { 0.0 } else { steps.clamp(-FAR, FAR) };
    let rounded = (steps + MAGIC).to_bits() as i32 - MAGIC.to_bits() as i32;
    (rounded + zero_point).clamp(0, 255) as u8
}

/// Logits that are compared at once.
const LANES: usize = 16;
/// For the most classes that there may be, 255.
const CHUNKS: usize = 16;

/// Each logit becomes a key that is larger the larger the logit is, and among equal logits the lower the class, so that the
/// largest key has the class.
#[inline(always)]
pub(crate) fn classes(pixels: &[u8], stride: usize, channels: usize, out: &mut [u8]) {
    let chunks: [Chunk; CHUNKS] = std::array::from_fn(|number| Chunk::new(number * LANES, channels));
    let chunks = &chunks[..channels.div_ceil(LANES)];
    for (x, out) in out.iter_mut().enumerate() {
        let pixel = &pixels[x * stride..];
        let mut best = i16::MIN;
        for (number, chunk) in chunks.iter().enumerate() {
            let logits = &pixel[number * LANES..];
            best = best.max(match logits.first_chunk() {
                Some(logits) => chunk.largest(logits),
                // The last pixels of the last row.
                None => {
                    let mut padded = [0; LANES];
                    padded[..logits.len()].copy_from_slice(logits);
                    chunk.largest(&padded)
                }
            });
        }
        *out = u8::MAX - (best & 0xff) as u8;
    }
}

/// Some classes one after another.
struct Chunk {
    /// 255 - class.
    low: [i16; LANES],
    /// All bits set where there is a class.
    present: [i16; LANES],
}

impl Chunk {
    #[inline(always)]
    fn new(first: usize, channels: usize) -> Self {
        let class = |lane: usize| first + lane;
        Chunk {
            low: std::array::from_fn(|lane| 255 - class(lane) as i16),
            present: std::array::from_fn(|lane| if class(lane) < channels { -1 } else { 0 }),
        }
    }

    /// The largest key; that of a class is above `i16::MIN`, as there are at most 255.
    #[inline(always)]
    fn largest(&self, logits: &[u8; LANES]) -> i16 {
        let mut keys = [0; LANES];
        for lane in 0..LANES {
            let logit = i16::from(logits[lane]) - 128;
            let key = logit << 8 | self.low[lane];
            keys[lane] = key & self.present[lane] | i16::MIN & !self.present[lane];
        }
        keys.into_iter().fold(i16::MIN, i16::max)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Kernel;
    use super::*;

    /// The loops of each kernel that is available.
    fn available() -> impl Iterator<Item = (Kernel, Loops)> {
        Kernel::ALL.into_iter().filter(|kernel| kernel.is_available()).map(|kernel| (kernel, kernel.loops()))
    }

    #[test]
    fn floats_become_the_bytes_of_the_specification() {
        for (scale, zero_point) in [(1.0, 0), (0.5, 128), (0.003_921_569, 3), (1e-30, 255), (1e30, 7)] {
            let quantization = Quantization { scale, zero_point };
            let steps = (-3000..3000).map(|step| step as f32 * 0.25 * scale);
            let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, 0.0, -0.0, f32::MIN_POSITIVE];
            let values: Vec<f32> = steps.chain(odd).collect();
            let expected: Vec<u8> = values.iter().map(|&value| quantization.quantize_u8(value)).collect();
            for (kernel, loops) in available() {
                let mut found = vec![0; values.len()];
                loops.quantize(&values, &mut found, quantization);
                assert_eq!(found, expected, "{kernel}");
            }
        }
    }

    #[test]
    fn sums_of_all_pairs_of_bytes_are_those_of_the_formula() {
        let of = |scale, zero_point| Quantization { scale, zero_point };
        for (inputs, output, low) in [
            ([of(0.5, 0), of(0.5, 128)], of(1.0, 0), 0),
            ([of(0.013, 3), of(0.021, 250)], of(0.017, 117), 117),
            // Sums far beyond any byte, and a scale that leaves nothing of them.
            ([of(1e20, 7), of(1e19, 9)], of(1e-20, 128), 128),
            ([of(1e-3, 255), of(1e-3, 0)], of(1e3, 4), 0),
        ] {
            let addition = Addition { inputs, output, low };
            for a in 0..=255u8 {
                let b: Vec<u8> = (0..=255).collect();
                let expected: Vec<u8> = b.iter().map(|&b| addition.add(a, b)).collect();
                for (kernel, loops) in available() {
                    let mut found = vec![0; b.len()];
                    loops.add(&mut found, &vec![a; b.len()], &b, &addition);
                    assert_eq!(found, expected, "{kernel} {a} {addition:?}");
                }
            }
        }
    }
}
