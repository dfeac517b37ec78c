//! The pages of TIFF files, from their directories alone, and how one of them is chosen.
//!
//! A file is a chain of directories, each with the tags of a page: classic TIFF (version 42) with offsets of 32 bits, BigTIFF
//! (43) with offsets of 64 (TIFF 6.0, section 2; the BigTIFF proposal).

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// Pages that are looked for at most.
const PAGES_MAX: usize = 1 << 16;

const NEW_SUBFILE_TYPE: u64 = 254;
const IMAGE_WIDTH: u64 = 256;
const IMAGE_LENGTH: u64 = 257;

/// One page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TiffPage {
    /// Its index in the file.
    pub index: usize,
    /// Width and height in pixels.
    pub size: (usize, usize),
    /// Whether it says that it is a smaller version of another one, or a mask of its transparency.
    pub reduced: bool,
    offset: u64,
}

/// The pages of a file; none if it is not a TIFF file or cannot be read.
pub fn tiff_pages(path: &Path) -> Vec<TiffPage> {
    File::open(path).ok().map(BufReader::new).map(|mut file| pages_of(&mut file)).unwrap_or_default()
}

/// Makes `page` the first page of a file in memory. `false` if there is no such page.
pub(super) fn choose_page(bytes: &mut [u8], page: usize) -> bool {
    let pages = pages_of(&mut std::io::Cursor::new(&*bytes));
    let Some(page) = pages.get(page) else { return false };
    let little = bytes.starts_with(b"II");
    let big = Layout::is_big(little, &[bytes[2], bytes[3]]);
    let mut write = |at: usize, offset: &[u8]| bytes[at..at + offset.len()].copy_from_slice(offset);
    match (big, little) {
        (true, true) => write(8, &page.offset.to_le_bytes()),
        (true, false) => write(8, &page.offset.to_be_bytes()),
        (false, true) => write(4, &(page.offset as u32).to_le_bytes()),
        (false, false) => write(4, &(page.offset as u32).to_be_bytes()),
    }
    true
}

/// Byte order and sizes of a file's numbers.
#[derive(Clone, Copy)]
struct Layout {
    little: bool,
    big: bool,
}

impl Layout {
    fn is_big(little: bool, version: &[u8; 2]) -> bool {
        43 == if little { u16::from_le_bytes(*version) } else { u16::from_be_bytes(*version) }
    }

    fn number(self, bytes: &[u8]) -> u64 {
        let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        if self.little { bytes.iter().rev().fold(0, add) } else { bytes.iter().fold(0, add) }
    }
}

/// The pages up to the first that is damaged; the decoder tells of those that it is asked for.
fn pages_of<R: Read + Seek>(file: &mut R) -> Vec<TiffPage> {
    let mut pages = Vec::new();
    let mut read = |at: u64, length: usize| -> Option<Vec<u8>> {
        file.seek(SeekFrom::Start(at)).ok()?;
        let mut bytes = vec![0; length];
        file.read_exact(&mut bytes).ok().map(|()| bytes)
    };
    let Some(head) = read(0, 8) else { return pages };
    let little = match &head[..2] {
        b"II" => true,
        b"MM" => false,
        _ => return pages,
    };
    let layout = Layout { little, big: Layout::is_big(little, &[head[2], head[3]]) };
    if !layout.big && layout.number(&head[2..4]) != 42 {
        return pages;
    }
    let first =
        if layout.big { read(8, 8).map(|bytes| layout.number(&bytes)) } else { Some(layout.number(&head[4..8])) };
    let (count_bytes, entry_bytes, offset_bytes) = if layout.big { (8, 20, 8) } else { (2, 12, 4) };
    let mut seen = HashSet::new();
    let mut next = first.unwrap_or(0);
    while next != 0 && pages.len() < PAGES_MAX && seen.insert(next) {
        let offset = next;
        let page = (|| {
            let count = layout.number(&read(offset, count_bytes)?);
            let entries = offset.checked_add(count_bytes as u64)?;
            let length = usize::try_from(count).ok().filter(|&count| count <= 1 << 12)? * entry_bytes;
            let directory = read(entries, length + offset_bytes)?;
            let (directory, following) = directory.split_at(length);
            let value = |tag: u64| {
                let entry = directory.chunks_exact(entry_bytes).find(|entry| layout.number(&entry[..2]) == tag)?;
                let value = &entry[if layout.big { 12 } else { 8 }..];
                // Types 3, 4 and 16 are numbers of 2, 4 and 8 bytes; one fits into the entry.
                let length = match layout.number(&entry[2..4]) {
                    3 => 2,
                    4 => 4,
                    16 if layout.big => 8,
                    _ => return None,
                };
                Some(layout.number(&value[..length]))
            };
            let side = |tag| value(tag).and_then(|side| usize::try_from(side).ok());
            let size = (side(IMAGE_WIDTH)?, side(IMAGE_LENGTH)?);
            let reduced = value(NEW_SUBFILE_TYPE).is_some_and(|kind| kind & 0b101 != 0);
            Some((TiffPage { index: pages.len(), size, reduced, offset }, layout.number(following)))
        })();
        let Some((page, following)) = page else { break };
        pages.push(page);
        next = following;
    }
    pages
}
