//! Whether the data of a JPEG file is whole.
//!
//! The decoder fills what is missing with gray, and continues after codes that cannot occur. This reads the entropy-coded
//! data first: each code must exist, each value be possible, each scan end with its last block, each restart marker stand at
//! its place. JPEG has no checksum, so a change of a value's bits to another possible value remains unknown.

mod bits;
mod huffman;
mod scan;

use std::rc::Rc;

use unet_shared::image::SIDE_MAX;

use huffman::Huffman;
use scan::{Coefficients, Scan, Tables};

/// Components of an image.
const COMPONENTS_MAX: usize = 4;

/// Scans of an image; more cost time without end.
const SCANS_MAX: usize = 256;

/// What is wrong with the data of a JPEG file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// A marker segment is cut off, or its length or content is impossible.
    #[error("is damaged: impossible JPEG header at byte {at}")]
    Header {
        /// Where the segment begins.
        at: usize,
    },
    /// The bytes end before the end marker.
    #[error("is cut off: the JPEG data has no end marker")]
    NoEnd,
    /// A scan ends before its last block.
    #[error("is cut off: the JPEG data ends after {} % of the blocks of a scan", 100 * read / expected)]
    Short {
        /// Blocks or groups of blocks that are there.
        read: usize,
        /// Those of the whole scan.
        expected: usize,
    },
    /// A code or a value cannot occur in an image.
    #[error("is damaged: impossible code or value in the JPEG data, at block {mcu} of a scan")]
    Code {
        /// Block or group of blocks.
        mcu: usize,
    },
    /// A restart marker is missing or out of order.
    #[error("is damaged: restart marker out of order in the JPEG data, at block {mcu} of a scan")]
    Restart {
        /// Block or group of blocks.
        mcu: usize,
    },
    /// The end marker comes before all components, or all bits of them, were sent.
    #[error("is cut off: the JPEG data ends before its last scan")]
    Scans,
}

/// A JPEG file in which no damage was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Whole {
    /// Markers before which data is left over: some cameras pad their data, but damage leaves that too.
    pub leftovers: usize,
}

/// Size and components, from the frame header.
#[derive(Debug)]
struct Frame {
    components: Vec<Component>,
    /// Columns and rows of groups of blocks in a scan of several components.
    mcus: (usize, usize),
    /// The longer side in pixels.
    side: usize,
    progressive: bool,
    /// 8 bits per sample, not 12.
    eight_bits: bool,
}

#[derive(Debug)]
struct Component {
    id: u8,
    /// Columns and rows of blocks in a group.
    sampling: (usize, usize),
    /// Columns and rows of blocks in a scan of this component alone.
    blocks: (usize, usize),
    /// Blocks in a row, those that pad the groups included.
    stride: usize,
    /// Index of the table of divisors.
    divisors: usize,
}

/// Checks the data of a JPEG file or frame up to its end marker. What follows that, such as a second image, is not looked
/// at. What the decoder refuses anyway, such as arithmetic coding and sides above [`SIDE_MAX`], is accepted.
///
/// # Errors
/// If the image cannot be decoded as it was encoded.
pub fn verify_jpeg(bytes: &[u8]) -> Result<Whole, Damage> {
    // Motion JPEG may leave out the standard tables.
    let mut huffman = huffman::standard().map(|[luma, chroma]| [luma, chroma, None, None]);
    let mut divisors = [[1u16; 64]; 4];
    let mut restart = 0;
    let mut frame: Option<Frame> = None;
    let mut state: Vec<Coefficients> = Vec::new();
    let mut scans = 0;
    let mut whole = Whole::default();
    let mut at = 2;
    loop {
        let Some(&[first, marker]) = bytes.get(at..at + 2) else { return Err(Damage::NoEnd) };
        if first != 0xff {
            return Err(Damage::Header { at });
        }
        match marker {
            0xff => {
                at += 1;
                continue;
            }
            0xd9 => break,
            // Restart markers after the last block; and the marker that stands alone.
            0xd0..=0xd7 | 0x01 => {
                at += 2;
                continue;
            }
            _ => {}
        }
        let length = bytes.get(at + 2..at + 4).map(|pair| usize::from(u16::from_be_bytes([pair[0], pair[1]])));
        let segment = length.and_then(|length| bytes.get(at + 4..(at + 2).checked_add(length)?));
        let Some(segment) = segment else {
            return Err(if length.is_some_and(|length| length < 2) { Damage::Header { at } } else { Damage::NoEnd });
        };
        let damaged = Damage::Header { at };
        at += 4 + segment.len();
        match marker {
            0xc0..=0xc2 if frame.is_none() => {
                let header = Frame::read(segment, marker == 0xc2).ok_or(damaged)?;
                if header.side > SIDE_MAX {
                    return Ok(whole);
                }
                state = header.coefficients();
                frame = Some(header);
            }
            0xc4 => huffman_tables(segment, &mut huffman).ok_or(damaged)?,
            // Lossless, hierarchical and arithmetic coding.
            0xc0..=0xc3 | 0xc5..=0xcf => return Ok(Whole::default()),
            0xdb => divisor_tables(segment, &mut divisors).ok_or(damaged)?,
            0xdd => {
                let &[high, low] = segment else { return Err(damaged) };
                restart = usize::from(u16::from_be_bytes([high, low]));
            }
            0xda => {
                let frame = frame.as_ref().ok_or(damaged)?;
                let scan = scan_header(segment, frame).ok_or(damaged)?;
                scans += 1;
                if scans > SCANS_MAX {
                    return Err(damaged);
                }
                let tables = Tables { huffman: &huffman, divisors: &divisors, restart };
                let (end, left) = scan::read(bytes, at, frame, &scan, &tables, &mut state)?;
                at = end;
                whole.leftovers += left;
            }
            _ => {}
        }
    }
    let complete = |component: &Coefficients| {
        component.sent[0] == Some(0) && component.sent.iter().all(|low| low.is_none_or(|low| low == 0))
    };
    if frame.is_some() && state.iter().all(complete) { Ok(whole) } else { Err(Damage::Scans) }
}

impl Frame {
    fn read(segment: &[u8], progressive: bool) -> Option<Self> {
        let &[precision, h1, h0, w1, w0, count, ref rest @ ..] = segment else { return None };
        let (height, width) = (usize::from(u16::from_be_bytes([h1, h0])), usize::from(u16::from_be_bytes([w1, w0])));
        let count = usize::from(count);
        if width == 0 || height == 0 || !(1..=COMPONENTS_MAX).contains(&count) || rest.len() != 3 * count {
            return None;
        }
        let sampling = |byte: u8| (usize::from(byte >> 4), usize::from(byte & 15));
        let all: Vec<_> = rest.chunks_exact(3).map(|part| (part[0], sampling(part[1]), usize::from(part[2]))).collect();
        let valid = |&(_, (across, down), divisors): &(u8, (usize, usize), usize)| {
            (1..=4).contains(&across) && (1..=4).contains(&down) && divisors < 4
        };
        if !all.iter().all(valid) {
            return None;
        }
        let across_max = all.iter().map(|component| component.1.0).max()?;
        let down_max = all.iter().map(|component| component.1.1).max()?;
        let mcus = (width.div_ceil(8 * across_max), height.div_ceil(8 * down_max));
        let components = all.into_iter().map(|(id, (across, down), divisors)| Component {
            id,
            sampling: (across, down),
            blocks: ((width * across).div_ceil(8 * across_max), (height * down).div_ceil(8 * down_max)),
            stride: mcus.0 * across,
            divisors,
        });
        Some(Self {
            components: components.collect(),
            mcus,
            side: width.max(height),
            progressive,
            eight_bits: precision == 8,
        })
    }

    fn coefficients(&self) -> Vec<Coefficients> {
        let blocks = |component: &Component| {
            if self.progressive { component.stride * self.mcus.1 * component.sampling.1 } else { 0 }
        };
        let empty = |component| Coefficients { nonzero: vec![0; blocks(component)], sent: vec![None; 64] };
        self.components.iter().map(empty).collect()
    }
}

fn huffman_tables(mut segment: &[u8], tables: &mut [[Option<Rc<Huffman>>; 4]; 2]) -> Option<()> {
    while let Some((&which, rest)) = segment.split_first() {
        let (counts, rest) = rest.split_first_chunk::<16>()?;
        let total: usize = counts.iter().map(|&count| usize::from(count)).sum();
        let symbols = rest.get(..total)?;
        let table = tables.get_mut(usize::from(which >> 4))?.get_mut(usize::from(which & 15))?;
        *table = Some(Huffman::of(counts, symbols)?);
        segment = &rest[total..];
    }
    Some(())
}

fn divisor_tables(mut segment: &[u8], tables: &mut [[u16; 64]; 4]) -> Option<()> {
    while let Some((&which, rest)) = segment.split_first() {
        let table = tables.get_mut(usize::from(which & 15))?;
        let bytes = if which >> 4 == 0 { 1 } else { 2 };
        let values = rest.get(..64 * bytes)?;
        for (divisor, value) in table.iter_mut().zip(values.chunks_exact(bytes)) {
            *divisor = value.iter().fold(0, |sum, &byte| sum << 8 | u16::from(byte));
        }
        segment = &rest[64 * bytes..];
    }
    Some(())
}

fn scan_header(segment: &[u8], frame: &Frame) -> Option<Scan> {
    let (&count, rest) = segment.split_first()?;
    let count = usize::from(count);
    if !(1..=COMPONENTS_MAX).contains(&count) || rest.len() != 2 * count + 3 {
        return None;
    }
    let (parts, rest) = rest.split_at(2 * count);
    let mut components: Vec<(usize, usize, usize)> = Vec::with_capacity(count);
    for part in parts.chunks_exact(2) {
        let index = frame.components.iter().position(|component| component.id == part[0])?;
        let (dc, ac) = (usize::from(part[1] >> 4), usize::from(part[1] & 15));
        if dc > 3 || ac > 3 || components.iter().any(|&(other, ..)| other == index) {
            return None;
        }
        components.push((index, dc, ac));
    }
    let (band, bits) = ((usize::from(rest[0]), usize::from(rest[1])), rest[2]);
    let (high, low) = (u32::from(bits >> 4), u32::from(bits & 15));
    if !frame.progressive {
        // Some encoders leave other numbers here, which mean nothing.
        return Some(Scan { components, band: (0, 63), high: 0, low: 0 });
    }
    let valid = if band.0 == 0 { band.1 == 0 } else { count == 1 && band.0 <= band.1 && band.1 < 64 };
    (valid && low <= 13 && (high == 0 || high == low + 1)).then_some(Scan { components, band, high, low })
}

#[cfg(test)]
mod tests;
