//! The directories of a TIFF file, one for each page, linked to a chain: the few tags that decide how a page is read (TIFF 6.0,
//! section 2; the BigTIFF proposal).

use std::cmp::Reverse;
use std::collections::HashSet;
use std::io::{self, Read, Seek};

use image::metadata::Orientation;

use super::TiffProblem;
use super::file::TiffFile;

/// Compression 7.
pub(super) const JPEG: u16 = 7;

/// Pages beyond this are ignored.
const PAGES_MAX: usize = 1 << 16;

/// More entries than this are damage.
const ENTRIES_MAX: u64 = 1 << 12;

/// One page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TiffPage {
    /// Its index in the file.
    pub index: usize,
    /// Width and height in pixels, as they are stored.
    pub size: (usize, usize),
    /// Whether it says that it is a smaller version of another one, or a mask of its transparency.
    pub reduced: bool,
}

/// The index of the largest page not marked as a reduced copy, the first of them; the first page if all are.
pub fn main_page<'a>(pages: impl IntoIterator<Item = &'a TiffPage>) -> Option<usize> {
    let area = |page: &TiffPage| if page.reduced { 0 } else { page.size.0.saturating_mul(page.size.1) };
    pages.into_iter().min_by_key(|page| Reverse((!page.reduced, area(page)))).map(|page| page.index)
}

/// A page, and how it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::decode) struct Directory {
    pub page: TiffPage,
    pub orientation: Orientation,
    pub photometric: u16,
    /// Where the low byte of the photometric interpretation is.
    pub photometric_at: Option<u64>,
    pub compression: u16,
    /// Of the first sample.
    pub bits: u16,
    /// Samples of a pixel.
    pub bands: u16,
    /// 1 unsigned, 2 signed, 3 float, 5 and 6 complex; of the first sample.
    pub format: u16,
    /// Stored other than as plain rows: tiles, planes, differences, reversed bits.
    arranged: bool,
    /// Where it is in the file.
    at: u64,
    /// Where the entries of width, bits and bands are.
    patched: [Option<u64>; 3],
}

impl Directory {
    /// The problem of a page whose samples need too much memory.
    pub fn too_large(&self) -> TiffProblem {
        let (width, height) = self.page.size;
        TiffProblem::Memory([width, height, self.bands.into()])
    }

    /// Makes this page the first of its file.
    pub fn present_as_first<R: Read + Seek>(&self, file: &mut TiffFile<R>) {
        let len = file.numbers.offset_len();
        file.replace(len as u64, file.numbers.write(self.at, len));
    }

    /// Presents rows of samples of 9 to 15 bits, packed without gaps, as rows of as many bytes: the decoder has no such
    /// samples. Returns whether the page is of that kind.
    pub fn present_as_bytes<R: Read + Seek>(&self, file: &mut TiffFile<R>) -> bool {
        let numbers = file.numbers;
        let row = (self.page.size.0 as u64).saturating_mul(u64::from(self.bands) * u64::from(self.bits)).div_ceil(8);
        let is_packed = (9..16).contains(&self.bits) && self.format == 1 && !self.arranged && self.compression != JPEG;
        let ([Some(width), Some(bits), bands], Ok(row)) = (self.patched, u32::try_from(row)) else { return false };
        if !is_packed {
            return false;
        }
        let entries = [(width, row), (bits, 8)].into_iter().chain(bands.map(|bands| (bands, 1)));
        for (at, value) in entries {
            // One number of 32 bits.
            let fields = [numbers.write(4, 2), numbers.write(1, numbers.offset_len()), numbers.write(value.into(), 4)];
            file.replace(at + 2, fields.concat());
        }
        true
    }
}

impl<R: Read + Seek> TiffFile<R> {
    /// The pages in their order, up to the first that is damaged; the decoder reports damage in a page that is asked for.
    pub fn pages(&mut self) -> io::Result<Vec<Directory>> {
        let mut pages = Vec::new();
        let mut seen = HashSet::new();
        let mut next = unless_damaged(self.first_at())?;
        while let Some(at) = next.filter(|&at| at > 0 && pages.len() < PAGES_MAX && seen.insert(at)) {
            let Some((page, following)) = unless_damaged(self.directory(at, pages.len()))? else { break };
            pages.push(page);
            next = Some(following);
        }
        Ok(pages)
    }

    /// The page with an index; none if there is no such page.
    pub fn page(&mut self, index: usize) -> io::Result<Option<Directory>> {
        let mut seen = HashSet::new();
        let mut next = unless_damaged(self.first_at())?;
        while let Some(at) = next.filter(|&at| at > 0 && seen.len() < PAGES_MAX && seen.insert(at)) {
            if seen.len() > index {
                return Ok(unless_damaged(self.directory(at, index))?.map(|(page, _)| page));
            }
            // Of the pages before it, only the link to the next one is read.
            let link = self.entries_of(at).and_then(|(first, len)| self.number(first + len, self.numbers.offset_len()));
            next = unless_damaged(link)?;
        }
        Ok(None)
    }

    /// Where the first directory is.
    fn first_at(&mut self) -> io::Result<u64> {
        let len = self.numbers.offset_len();
        self.number(len as u64, len)
    }

    /// Where the entries of a directory are, and how many bytes.
    fn entries_of(&mut self, at: u64) -> io::Result<(u64, u64)> {
        let (count_len, entry_len) = if self.numbers.big { (8, 20) } else { (2, 12) };
        let count = self.number(at, count_len)?;
        if count > ENTRIES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok((at + count_len as u64, count * entry_len))
    }

    /// A directory, and where the next one is, or 0.
    fn directory(&mut self, at: u64, index: usize) -> io::Result<(Directory, u64)> {
        let numbers = self.numbers;
        let (first, len) = self.entries_of(at)?;
        let bytes = self.bytes_at(first, len as usize + numbers.offset_len())?;
        let (entries, following) = bytes.split_at(len as usize);
        let (mut width, mut height) = (None, None);
        let mut page = Directory {
            page: TiffPage { index, size: (0, 0), reduced: false },
            orientation: Orientation::NoTransforms,
            photometric: u16::MAX,
            photometric_at: None,
            compression: 1,
            bits: 1,
            bands: 1,
            format: 1,
            arranged: false,
            at,
            patched: [None; 3],
        };
        let entry_len = 4 + 2 * numbers.offset_len();
        for (entry, at) in entries.chunks_exact(entry_len).zip((first..).step_by(entry_len)) {
            let (head, field) = entry.split_at(entry_len - numbers.offset_len());
            let (tag, kind, count) = (numbers.read(&head[..2]), numbers.read(&head[2..4]), numbers.read(&head[4..]));
            let len = match kind {
                1 => 1,
                3 => 2,
                4 => 4,
                16 if numbers.big => 8,
                _ => 0,
            };
            let value = (len > 0 && count == 1).then(|| numbers.read(&field[..len]));
            let short = value.and_then(|value| u16::try_from(value).ok());
            match tag {
                254 => page.page.reduced |= value.is_some_and(|kind| kind & 0b101 != 0),
                255 => page.page.reduced |= value == Some(2),
                256 => (width, page.patched[0]) = (value, Some(at)),
                257 => height = value,
                258 => (page.bits, page.patched[1]) = (self.first_value(field, len, count)?, Some(at)),
                259 => page.compression = short.unwrap_or(0),
                262 => {
                    page.photometric = short.unwrap_or(u16::MAX);
                    let low = if numbers.little { 0 } else { len.saturating_sub(1) };
                    page.photometric_at = value.map(|_| at + (head.len() + low) as u64);
                }
                266 | 284 | 317 => page.arranged |= value != Some(1),
                274 => {
                    let turned = value.and_then(|value| Orientation::from_exif(u8::try_from(value).ok()?));
                    page.orientation = turned.unwrap_or(Orientation::NoTransforms);
                }
                277 => (page.bands, page.patched[2]) = (short.unwrap_or(0), Some(at)),
                322..=325 => page.arranged = true,
                339 => page.format = self.first_value(field, len, count)?,
                _ => {}
            }
        }
        let side = |side: Option<u64>| side.and_then(|side| usize::try_from(side).ok());
        page.page.size = side(width).zip(side(height)).ok_or(io::ErrorKind::InvalidData)?;
        Ok((page, numbers.read(following)))
    }

    /// The first value of an entry. Values that do not fit into the entry's field are stored at the offset in it. 0 if there is
    /// none.
    fn first_value(&mut self, field: &[u8], len: usize, count: u64) -> io::Result<u16> {
        let value = if len == 0 || count == 0 {
            0
        } else if count.saturating_mul(len as u64) <= field.len() as u64 {
            self.numbers.read(&field[..len])
        } else {
            unless_damaged(self.number(self.numbers.read(field), len))?.unwrap_or(0)
        };
        Ok(u16::try_from(value).unwrap_or(0))
    }
}

/// `None` if the data is damaged; an error only if the system cannot read the file.
fn unless_damaged<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.raw_os_error().is_some() => Err(error),
        Err(_) => Ok(None),
    }
}
