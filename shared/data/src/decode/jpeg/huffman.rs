//! Huffman tables of a JPEG file (ITU T.81, annex C and section F.2.2.3).

use std::cell::{OnceCell, RefCell};
use std::fmt;
use std::rc::Rc;

use super::bits::Bits;

/// Codes up to this length are looked up directly.
const LOOKUP_BITS: u32 = 10;

/// AC codes and their values are skipped together, as many as fit in these bits.
const RUN_BITS: u32 = 11;

/// Tables cached per thread; those of a camera are the same in every frame.
const KEPT_MAX: usize = 8;

thread_local! {
    static KEPT: RefCell<Vec<Rc<Huffman>>> = const { RefCell::new(Vec::new()) };
}

/// AC codes and the values after them, by the bits that they begin with.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Run {
    /// Their total bits; 0 if no code fits.
    pub bits: u8,
    /// Coefficients that they skip.
    pub coefficients: u8,
    /// `coefficients`, plus one if the run ends the block, which cannot follow the last coefficient.
    pub room: u8,
    /// The largest size of a value.
    pub size: u8,
}

impl Run {
    /// Whether the last of them ends the block.
    #[inline]
    pub fn ends(self) -> bool {
        self.room > self.coefficients
    }
}

/// From codes to symbols.
#[derive(Debug)]
pub(super) struct Huffman {
    counts: [u8; 16],
    /// Length and symbol for each beginning of [`LOOKUP_BITS`] bits, as `length << 8 | symbol`; 0 if the code is longer.
    lookup: Box<[u16; 1 << LOOKUP_BITS]>,
    /// For each code length the first code beyond it, in 16 bits.
    beyond: [u32; 17],
    /// For each code length what to add to a code to find its symbol.
    offset: [i32; 17],
    symbols: Vec<u8>,
    /// Made when they are first asked for: a DC table, and one of a progressive file, needs none.
    runs: OnceCell<Box<Runs>>,
}

/// What to skip for each beginning of [`RUN_BITS`] bits.
pub(super) struct Runs([Run; 1 << RUN_BITS]);

impl fmt::Debug for Runs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Runs")
    }
}

impl Runs {
    /// The AC codes and values ahead.
    #[inline]
    pub fn ahead(&self, bits: &Bits<'_>) -> Run {
        self.0[bits.peek(RUN_BITS)]
    }
}

impl Huffman {
    /// The table with these counts and symbols, cached or new.
    pub fn of(counts: &[u8; 16], symbols: &[u8]) -> Option<Rc<Self>> {
        KEPT.with_borrow_mut(|kept| {
            if let Some(found) = kept.iter().find(|table| table.counts == *counts && table.symbols == symbols) {
                return Some(Rc::clone(found));
            }
            let table = Rc::new(Self::new(counts, symbols)?);
            if kept.len() == KEPT_MAX {
                kept.remove(0);
            }
            kept.push(Rc::clone(&table));
            Some(table)
        })
    }

    /// The table with `counts[n]` codes of length `n + 1`; none if there are more codes than a length has, or too few
    /// symbols.
    fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut table = Self {
            counts: *counts,
            lookup: Box::new([0; 1 << LOOKUP_BITS]),
            beyond: [0; 17],
            offset: [0; 17],
            symbols: symbols.to_vec(),
            runs: OnceCell::new(),
        };
        let (mut code, mut index) = (0u32, 0usize);
        for length in 1..=16u32 {
            let count = usize::from(counts[length as usize - 1]);
            table.offset[length as usize] = index as i32 - code as i32;
            for &symbol in symbols.get(index..index + count)? {
                if code >= 1 << length {
                    return None;
                }
                if length <= LOOKUP_BITS {
                    let free = LOOKUP_BITS - length;
                    let first = (code << free) as usize;
                    table.lookup[first..first + (1 << free)].fill((length as u16) << 8 | u16::from(symbol));
                }
                code += 1;
            }
            index += count;
            table.beyond[length as usize] = code << (16 - length);
            code <<= 1;
        }
        Some(table)
    }

    /// The AC codes and values that fit completely in these bits.
    fn run(&self, start: usize) -> Run {
        let mut run = Run::default();
        loop {
            let left = RUN_BITS - u32::from(run.bits);
            let ahead = start << run.bits & ((1 << RUN_BITS) - 1);
            let found = self.lookup[ahead >> (RUN_BITS - LOOKUP_BITS)];
            let (length, zeros, size) = (u32::from(found >> 8), (found as u8) >> 4, found as u8 & 15);
            let bits = length + u32::from(size);
            // Invalid symbols are left to the one-by-one path.
            if length == 0 || bits > left || (size == 0 && !matches!(zeros, 0 | 15)) {
                return run;
            }
            run.bits += bits as u8;
            if size == 0 && zeros == 0 {
                run.room += 1;
                return run;
            }
            run.coefficients += zeros + 1;
            run.room = run.coefficients;
            run.size = run.size.max(size);
        }
    }

    /// The AC codes and values that are skipped together.
    #[inline]
    pub fn runs(&self) -> &Runs {
        self.runs.get_or_init(|| {
            let mut runs = Box::new(Runs([Run::default(); 1 << RUN_BITS]));
            for (start, run) in runs.0.iter_mut().enumerate() {
                *run = self.run(start);
            }
            runs
        })
    }

    /// Reads a symbol from loaded bits; none if no code begins with them.
    #[inline]
    pub fn read(&self, bits: &mut Bits<'_>) -> Option<u8> {
        let found = self.lookup[bits.peek(LOOKUP_BITS)];
        if found > 0 {
            bits.skip(u32::from(found >> 8));
            return Some(found as u8);
        }
        self.read_long(bits)
    }

    #[cold]
    fn read_long(&self, bits: &mut Bits<'_>) -> Option<u8> {
        let ahead = bits.peek(16) as u32;
        let length = (LOOKUP_BITS + 1..=16).find(|&length| ahead < self.beyond[length as usize])?;
        let index = (ahead >> (16 - length)) as i32 + self.offset[length as usize];
        bits.skip(length);
        self.symbols.get(usize::try_from(index).ok()?).copied()
    }
}

/// The tables that Motion JPEG may leave out: ITU T.81, tables K.3 to K.6. The first index is 0 for DC and 1 for AC, the
/// second 0 for luma and 1 for chroma.
pub(super) fn standard() -> [[Option<Rc<Huffman>>; 2]; 2] {
    let dc: Vec<u8> = (0..12).collect();
    [
        [
            Huffman::of(&[0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0], &dc),
            Huffman::of(&[0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0], &dc),
        ],
        [
            Huffman::of(&[0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125], &AC_LUMA),
            Huffman::of(&[0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119], &AC_CHROMA),
        ],
    ]
}

const AC_LUMA: [u8; 162] = [
    0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22, 0x71, 0x14,
    0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0, 0x24, 0x33, 0x62, 0x72, 0x82, 0x09,
    0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a,
    0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65,
    0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88,
    0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9,
    0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca,
    0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea,
    0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
];

const AC_CHROMA: [u8; 162] = [
    0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71, 0x13, 0x22, 0x32,
    0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0, 0x15, 0x62, 0x72, 0xd1, 0x0a, 0x16,
    0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x35, 0x36, 0x37, 0x38, 0x39,
    0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64,
    0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x82, 0x83, 0x84, 0x85, 0x86,
    0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7,
    0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8,
    0xc9, 0xca, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9,
    0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::unusual_byte_groupings, reason = "a group is a code or a value")]
    fn complete_codes_and_values_are_skipped_together() {
        let [_, [Some(luma), _]] = standard() else { panic!("the standard tables are tables") };
        // 00 is a value of one bit, 1010 the end of a block, 11111111001 sixteen zeros.
        let run = |bits: usize| {
            let Run { bits, coefficients, room, size } = luma.runs().0[bits];
            (bits, coefficients, room, size)
        };
        assert_eq!(run(0b00_1_00_0_1010_0), (10, 2, 3, 1));
        assert_eq!(run(0b1010_0010_000), (4, 0, 1, 0));
        assert!(luma.runs().0[0b1010_0010_000].ends());
        // A value of two bits, then one whose bits are not all there.
        assert_eq!(run(0b01_11_00_1_1101), (7, 2, 2, 2));
        // A code that is longer than what is looked up.
        assert_eq!(run(0b111_1111_1001), (0, 0, 0, 0));
        assert!(Rc::ptr_eq(&luma, &standard()[1][0].clone().unwrap()), "tables are kept");
    }
}
