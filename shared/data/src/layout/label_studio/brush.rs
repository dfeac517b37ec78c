//! Brush masks of Label Studio: `@thi.ng/rle-pack`, which has nothing in common with COCO's run lengths.
//!
//! A stream of bits, the highest of each byte first. Its head: 32 bits, the number of values; 5 bits, the bits of a value less
//! one; four times 4 bits, the bits of a length less one. Then runs: one bit that says whether a value is repeated; 2 bits that
//! choose one of the four sizes of a length; the length less one; and one value, or as many as the length. The values are red,
//! green, blue and alpha of each pixel, row by row.

use crate::run_lengths::RunLengths;

/// The pixels whose alpha is not 0.
pub(super) fn decode(bytes: &[u8], width: usize, height: usize) -> Result<RunLengths, String> {
    let mut inside = vec![0; width * height];
    let expected = inside.len() * 4;
    for_each_run(bytes, expected, |from, to, value| {
        if value != 0 {
            // Every fourth value is an alpha.
            (from / 4..to.div_ceil(4))
                .filter(|pixel| (from..to).contains(&(pixel * 4 + 3)))
                .for_each(|pixel| inside[pixel] = 1);
        }
    })?;
    Ok(RunLengths::of(&inside, width, height, 1))
}

/// Visits the start, the end (exclusive) and the value of each run.
fn for_each_run(bytes: &[u8], expected: usize, mut visit: impl FnMut(usize, usize, u32)) -> Result<(), String> {
    let mut bits = Bits { bytes, at: 0 };
    let ends = || "expected the run lengths of a brush mask, found their end too early".to_owned();
    let found = bits.read(32).ok_or_else(ends)? as usize;
    if found != expected {
        return Err(format!("expected a brush mask of {expected} values, 4 for each pixel, found {found}"));
    }
    let value_bits = bits.read(5).ok_or_else(ends)? + 1;
    let mut length_bits = [0; 4];
    for length in &mut length_bits {
        *length = bits.read(4).ok_or_else(ends)? + 1;
    }
    let mut at = 0;
    while at < expected {
        let repeats = bits.read(1).ok_or_else(ends)? == 1;
        let size = bits.read(2).ok_or_else(ends)?;
        let length = bits.read(length_bits[size as usize]).ok_or_else(ends)? as usize + 1;
        let to = at + length;
        if to > expected {
            return Err(format!("expected runs of {expected} values in total, found {to} or more"));
        }
        if repeats {
            visit(at, to, bits.read(value_bits).ok_or_else(ends)?);
        } else {
            for single in at..to {
                visit(single, single + 1, bits.read(value_bits).ok_or_else(ends)?);
            }
        }
        at = to;
    }
    Ok(())
}

struct Bits<'a> {
    bytes: &'a [u8],
    /// Index of the next bit.
    at: usize,
}

impl Bits<'_> {
    /// The number in the next bits, 32 at most.
    fn read(&mut self, count: u32) -> Option<u32> {
        let mut number = 0u64;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            number = number << 1 | u64::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(number as u32)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Packs values as Label Studio does: runs of 8 bits of length.
    pub(crate) fn pack(values: &[u8]) -> Vec<u8> {
        let mut bits: Vec<bool> = Vec::new();
        let mut write = |number: u64, count: u32| bits.extend((0..count).rev().map(|bit| number >> bit & 1 == 1));
        write(values.len() as u64, 32);
        write(7, 5);
        [2, 3, 7, 15].into_iter().for_each(|length| write(length, 4));
        for run in values.chunk_by(|a, b| a == b).flat_map(|run| run.chunks(256)) {
            let (repeats, size, length_bits) = if run.len() > 1 { (1, 2, 8) } else { (0, 0, 3) };
            write(repeats, 1);
            write(size, 2);
            write(run.len() as u64 - 1, length_bits);
            write(run[0].into(), 8);
        }
        let byte = |bits: &[bool]| bits.iter().enumerate().fold(0, |sum, (at, &bit)| sum | u8::from(bit) << (7 - at));
        bits.chunks(8).map(byte).collect()
    }

    /// The values of a mask's pixels, of alpha `inside` or 0.
    pub(crate) fn brush(mask: &[u8], inside: u8) -> Vec<u8> {
        pack(
            &mask
                .iter()
                .flat_map(|&pixel| if pixel != 0 { [9, 9, 9, inside] } else { [0, 0, 0, 0] })
                .collect::<Vec<_>>(),
        )
    }

    /// From the test of Label Studio's converter (`test_rle_encoding`).
    const PUBLISHED: ([u8; 21], [u8; 18]) = (
        [0, 0, 0, 18, 57, 27, 252, 96, 32, 1, 0, 6, 0, 40, 0, 192, 3, 128, 17, 56, 32],
        [1, 1, 1, 1, 2, 3, 5, 6, 7, 8, 4, 4, 4, 4, 4, 4, 4, 4],
    );

    fn values(bytes: &[u8], count: usize) -> Result<Vec<u8>, String> {
        let mut found = vec![0; count];
        for_each_run(bytes, count, |from, to, value| found[from..to].fill(value as u8)).map(|()| found)
    }

    #[test]
    fn published_values_are_read() {
        assert_eq!(values(&PUBLISHED.0, 18).unwrap(), PUBLISHED.1);
    }

    #[test]
    fn alpha_decides() {
        let mask = [0, 1, 0, 0, 1, 1];
        assert_eq!(decode(&brush(&mask, 130), 3, 2).unwrap(), RunLengths::of(&mask, 3, 2, 1));
        // Colours without alpha are outside.
        assert_eq!(decode(&pack(&[255, 255, 255, 0].repeat(6)), 3, 2).unwrap().area(), 0);
    }

    #[test]
    fn what_is_no_mask_is_refused() {
        assert!(decode(&brush(&[1; 6], 255), 2, 2).unwrap_err().contains("of 16 values, 4 for each pixel, found 24"));
        let whole = brush(&[1; 6], 255);
        for length in 0..whole.len() - 1 {
            assert!(decode(&whole[..length], 3, 2).unwrap_err().contains("end too early"), "{length}");
        }
        let mut long = pack(&[7; 24]);
        long[3] = 4;
        assert!(decode(&long, 1, 1).unwrap_err().contains("expected runs of 4 values in total, found 24"));
    }

    proptest! {
        #[test]
        fn any_mask_survives(width in 1usize..20, height in 1usize..20, seed in prop::collection::vec(0u8..2, 400)) {
            let mask = &seed[..width * height];
            prop_assert_eq!(decode(&brush(mask, 255), width, height).unwrap(), RunLengths::of(mask, width, height, 1));
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..40), width in 0usize..9, height in 0usize..9) {
            let _ = decode(&bytes, width, height);
            let mut headed = (width as u32 * height as u32 * 4).to_be_bytes().to_vec();
            headed.extend(bytes);
            let _ = decode(&headed, width, height);
        }
    }
}
