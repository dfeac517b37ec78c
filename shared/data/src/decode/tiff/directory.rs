//! The directories of a TIFF file, one for each page: the few tags that decide how it is read.

/// Compression 7.
pub(super) const JPEG: u16 = 7;

/// Pages beyond this are ignored.
const PAGES_MAX: usize = 4096;

/// A page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Directory {
    pub width: u64,
    pub height: u64,
    /// A reduced copy of another page.
    pub reduced: bool,
    pub photometric: u16,
    /// Where the low byte of the photometric interpretation is.
    pub photometric_at: Option<usize>,
    pub compression: u16,
    /// Of the first sample.
    pub bits: u16,
    /// Samples of a pixel.
    pub bands: u16,
    /// 1 unsigned, 2 signed, 3 float, 5 and 6 complex; of the first sample.
    pub format: u16,
    /// Stored other than as plain rows: tiles, planes, differences, reversed bits.
    pub arranged: bool,
    /// Where the entries of width, bits and bands are.
    patched: [Option<usize>; 3],
}

impl Directory {
    /// Presents rows of samples of 9 to 15 bits, packed without gaps, as rows of as many bytes: the decoder has no such
    /// samples. Returns whether the page is of that kind.
    pub(super) fn present_as_bytes(&self, bytes: &mut [u8]) -> bool {
        let row = self.width.saturating_mul(u64::from(self.bands) * u64::from(self.bits)).div_ceil(8);
        let (Some(file), Ok(row)) = (File::new(bytes), u32::try_from(row)) else { return false };
        let (little, big) = (file.little, file.big);
        let is_packed = (9..16).contains(&self.bits) && self.format == 1 && !self.arranged && self.compression != JPEG;
        let [Some(width), Some(bits), bands] = self.patched else { return false };
        if !is_packed {
            return false;
        }
        let entries = [(width, row), (bits, 8)].into_iter().chain(bands.map(|bands| (bands, 1)));
        for (at, value) in entries {
            let count_len = if big { 8 } else { 4 };
            // One number of 32 bits.
            let number = |value: u64, len: usize| {
                let bytes = value.to_le_bytes();
                if little { bytes[..len].to_vec() } else { bytes[..len].iter().rev().copied().collect() }
            };
            let entry = [number(4, 2), number(1, count_len), number(value.into(), 4)].concat();
            let Some(place) = bytes.get_mut(at + 2..at + 2 + entry.len()) else { return false };
            place.copy_from_slice(&entry);
        }
        true
    }
}

/// The pages in their order, as far as they can be read.
pub(super) fn directories(bytes: &[u8]) -> Vec<Directory> {
    let mut pages = Vec::new();
    let Some(file) = File::new(bytes) else { return pages };
    let mut next = file.number(if file.big { 8 } else { 4 }, file.offset_len());
    while let Some(at) = next.and_then(|at| usize::try_from(at).ok()).filter(|&at| at > 0) {
        if pages.len() >= PAGES_MAX {
            break;
        }
        let Some((page, following)) = file.directory(at) else { break };
        pages.push(page);
        next = following;
    }
    pages
}

struct File<'a> {
    bytes: &'a [u8],
    little: bool,
    big: bool,
}

impl<'a> File<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let little = match bytes.get(..2)? {
            b"II" => true,
            b"MM" => false,
            _ => return None,
        };
        let mut file = Self { bytes, little, big: false };
        file.big = file.number(2, 2)? == 43;
        Some(file)
    }

    fn offset_len(&self) -> usize {
        if self.big { 8 } else { 4 }
    }

    fn number(&self, at: usize, len: usize) -> Option<u64> {
        let bytes = self.bytes.get(at..at.checked_add(len)?)?;
        let join = |sum: u64, &byte: &u8| sum << 8 | u64::from(byte);
        Some(if self.little { bytes.iter().rev().fold(0, join) } else { bytes.iter().fold(0, join) })
    }

    /// A directory, and where the next one is, or 0.
    fn directory(&self, at: usize) -> Option<(Directory, Option<u64>)> {
        let (count_len, entry_len) = if self.big { (8, 20) } else { (2, 12) };
        let entries = usize::try_from(self.number(at, count_len)?).ok()?.min(1 << 16);
        let first = at.checked_add(count_len)?;
        let mut page =
            Directory { photometric: u16::MAX, compression: 1, bits: 1, bands: 1, format: 1, ..Directory::default() };
        for entry in 0..entries {
            let entry = first.checked_add(entry * entry_len)?;
            let (tag, kind) = (self.number(entry, 2)?, self.number(entry + 2, 2)?);
            let value_at = entry + entry_len - self.offset_len();
            let len = match kind {
                1 => 1,
                3 => 2,
                16 => 8,
                _ => 4,
            };
            let value = self.number(value_at, len)?;
            // If the values are stored elsewhere, the first.
            let count = self.number(entry + 4, self.offset_len())?;
            let first = if count.checked_mul(len as u64).is_some_and(|bytes| bytes <= self.offset_len() as u64) {
                Some(value)
            } else {
                let at = self.number(value_at, self.offset_len()).and_then(|at| usize::try_from(at).ok());
                at.and_then(|at| self.number(at, len))
            };
            match tag {
                254 => page.reduced |= value & 1 == 1,
                255 => page.reduced |= value == 2,
                256 => (page.width, page.patched[0]) = (value, Some(entry)),
                257 => page.height = value,
                258 => (page.bits, page.patched[1]) = (first.unwrap_or(0) as u16, Some(entry)),
                259 => page.compression = value as u16,
                266 | 284 | 317 => page.arranged |= value != 1,
                277 => (page.bands, page.patched[2]) = (value as u16, Some(entry)),
                322..=325 => page.arranged = true,
                339 => page.format = first.unwrap_or(0) as u16,
                262 if len == 2 => {
                    page.photometric = value as u16;
                    page.photometric_at = Some(value_at + usize::from(!self.little));
                }
                _ => {}
            }
        }
        Some((page, self.number(first.checked_add(entries * entry_len)?, self.offset_len())))
    }
}
