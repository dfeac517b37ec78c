//! The bits of an entropy-coded segment, up to the marker that ends it.

/// Reads bits from the most significant down; `0xff 0x00` stands for one byte `0xff`, and any other byte after `0xff` is a
/// marker, at which zeros follow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// The byte that is loaded next.
    at: usize,
    /// Loaded bits, the next one on top. Bits below the lowest loaded one are 0, or those that are loaded next.
    buffer: u64,
    /// Number of loaded bits that are not read.
    loaded: u32,
    /// How many of them, or of those that were read, are zeros beyond the end.
    beyond: u32,
}

/// How a segment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentEnd {
    /// Where the next marker is, or the end of the bytes.
    pub at: usize,
    /// Whole bytes of data that were not read.
    pub unread: usize,
    /// Whether the unread bits of the last byte are all ones or all zeros.
    pub padded: bool,
}

impl<'a> Bits<'a> {
    /// The bits of the segment that begins at byte `at`.
    pub fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at, buffer: 0, loaded: 0, beyond: 0 }
    }

    /// Loads at least 32 bits, which hold a code and the bits that follow it.
    #[inline(always)]
    pub fn refill(&mut self) {
        if self.loaded < 32 {
            self.load();
        }
    }

    #[inline]
    fn load(&mut self) {
        if let Some(next) = self.bytes.get(self.at..self.at + 8) {
            let word = u64::from_be_bytes(next.try_into().expect("eight bytes"));
            // Whether a byte is 0xff: one of the inverted bytes is 0.
            let inverted = !word;
            if inverted.wrapping_sub(0x0101_0101_0101_0101) & word & 0x8080_8080_8080_8080 == 0 {
                self.buffer |= word >> self.loaded;
                let count = (64 - self.loaded) / 8;
                self.at += count as usize;
                self.loaded += 8 * count;
                return;
            }
        }
        self.load_by_bytes();
    }

    #[cold]
    fn load_by_bytes(&mut self) {
        // Bits that are only anticipated would be wrong once zeros follow.
        self.buffer &= !u64::MAX.checked_shr(self.loaded).unwrap_or(0);
        while self.loaded <= 56 {
            let byte = match (self.bytes.get(self.at), self.bytes.get(self.at + 1)) {
                (Some(0xff), Some(0)) => {
                    self.at += 2;
                    0xff
                }
                (Some(0xff), _) | (None, _) => {
                    self.beyond += 8;
                    0
                }
                (Some(&byte), _) => {
                    self.at += 1;
                    byte
                }
            };
            self.buffer |= u64::from(byte) << (56 - self.loaded);
            self.loaded += 8;
        }
    }

    /// The next `count` bits, 1 to 16, which stay unread.
    #[inline]
    pub fn peek(&self, count: u32) -> usize {
        (self.buffer >> (64 - count)) as usize
    }

    /// Passes over bits that are loaded.
    #[inline]
    pub fn skip(&mut self, count: u32) {
        self.buffer <<= count;
        self.loaded -= count;
    }

    /// Reads up to 16 bits that are loaded.
    #[inline]
    pub fn read(&mut self, count: u32) -> u32 {
        if count == 0 {
            return 0;
        }
        let value = self.peek(count) as u32;
        self.skip(count);
        value
    }

    /// Whether bits beyond the end were read.
    pub fn overread(&self) -> bool {
        self.beyond > self.loaded
    }

    /// The end of the segment: the next marker, behind any fill bytes.
    pub fn end(&self) -> SegmentEnd {
        let partial = self.loaded % 8;
        let rest = if partial == 0 { 0 } else { self.buffer >> (64 - partial) };
        let padded = rest == 0 || rest == (1 << partial) - 1;
        let mut unread = (self.loaded.saturating_sub(self.beyond) / 8) as usize;
        let mut at = self.at;
        loop {
            match (self.bytes.get(at), self.bytes.get(at + 1)) {
                (None, _) => break,
                (Some(0xff), Some(0)) => {
                    unread += 1;
                    at += 2;
                }
                // A fill byte.
                (Some(0xff), Some(0xff)) => at += 1,
                (Some(0xff), Some(_)) => break,
                (Some(_), _) => {
                    unread += 1;
                    at += 1;
                }
            }
        }
        SegmentEnd { at, unread, padded }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stuffed_bytes_count_once_and_a_marker_ends_the_data() {
        let bytes = [0xab, 0xff, 0x00, 0xcd, 0xff, 0xd9];
        let mut bits = Bits::new(&bytes, 0);
        bits.refill();
        assert_eq!((bits.read(8), bits.read(12)), (0xab, 0xffc));
        assert_eq!(bits.end(), SegmentEnd { at: 4, unread: 0, padded: false });
        bits.skip(4);
        assert!(!bits.overread());
        bits.refill();
        bits.skip(1);
        assert!(bits.overread());
    }

    #[test]
    fn bytes_before_a_marker_that_were_not_read_are_counted() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8, 9, 0xff, 0, 11, 0xff, 0xff, 0xd9];
        let mut bits = Bits::new(&bytes, 0);
        bits.refill();
        bits.skip(12);
        // Of the second byte the bits 0010 are left.
        assert_eq!(bits.end(), SegmentEnd { at: 13, unread: 9, padded: false });
    }
}
