//! A TIFF file that is read only where it is needed, so that a page of a long stack costs no more than itself. Some of its bytes
//! can be replaced.

use std::io::{self, BufRead, Read, Seek, SeekFrom};

/// Bytes that are read at once: the first number after a jump, then twice as many each time, up to the second.
const READ_MIN: usize = 512;
const READ_MAX: usize = 1 << 16;

/// Order of bytes and size of offsets of a file's numbers: classic TIFF (version 42) has offsets of 32 bits, BigTIFF (43) of 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::decode) struct Numbers {
    pub little: bool,
    pub big: bool,
}

impl Numbers {
    /// Those of a file that begins with `head`; none if it is not a TIFF file.
    pub fn of(head: &[u8]) -> Option<Self> {
        let (little, big) = match head.get(..4)? {
            b"II*\0" => (true, false),
            b"MM\0*" => (false, false),
            b"II+\0" => (true, true),
            b"MM\0+" => (false, true),
            _ => return None,
        };
        Some(Self { little, big })
    }

    /// Length of an offset.
    pub fn offset_len(self) -> usize {
        if self.big { 8 } else { 4 }
    }

    pub fn read(self, bytes: &[u8]) -> u64 {
        let join = |sum: u64, &byte: &u8| sum << 8 | u64::from(byte);
        if self.little { bytes.iter().rev().fold(0, join) } else { bytes.iter().fold(0, join) }
    }

    pub fn write(self, value: u64, len: usize) -> Vec<u8> {
        let bytes = &value.to_le_bytes()[..len];
        if self.little { bytes.to_vec() } else { bytes.iter().rev().copied().collect() }
    }
}

/// A TIFF file.
#[derive(Debug)]
pub(in crate::decode) struct TiffFile<R> {
    pub numbers: Numbers,
    file: R,
    len: u64,
    /// Bytes in place of the file's own, and where.
    replaced: Vec<(u64, Vec<u8>)>,
    buffer: Vec<u8>,
    /// Where in the file the buffer begins.
    buffer_at: u64,
    at: u64,
}

impl<R: Read + Seek> TiffFile<R> {
    pub fn new(mut file: R, numbers: Numbers) -> io::Result<Self> {
        let len = file.seek(SeekFrom::End(0))?;
        Ok(Self { numbers, file, len, replaced: Vec::new(), buffer: Vec::new(), buffer_at: 0, at: 0 })
    }

    /// Puts `bytes` in place of the file's own.
    pub fn replace(&mut self, at: u64, bytes: Vec<u8>) {
        self.replaced.push((at, bytes));
        self.buffer.clear();
    }

    pub fn bytes_at(&mut self, at: u64, len: usize) -> io::Result<Vec<u8>> {
        self.at = at;
        let mut bytes = vec![0; len];
        self.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// A number of at most 8 bytes.
    pub fn number(&mut self, at: u64, len: usize) -> io::Result<u64> {
        self.at = at;
        let mut bytes = [0; 8];
        self.read_exact(&mut bytes[..len])?;
        Ok(self.numbers.read(&bytes[..len]))
    }
}

impl<R: Read + Seek> BufRead for TiffFile<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        // Not every offset that a damaged file names is one that the system can seek to.
        if self.at >= self.len {
            return Ok(&[]);
        }
        let end = self.buffer_at + self.buffer.len() as u64;
        if !(self.buffer_at..end).contains(&self.at) {
            let goes_on = self.at == end;
            let length = if goes_on { (2 * self.buffer.len()).clamp(READ_MIN, READ_MAX) } else { READ_MIN };
            self.buffer.resize(length, 0);
            self.buffer_at = self.at;
            let read = self.file.seek(SeekFrom::Start(self.at)).and_then(|_| self.file.read(&mut self.buffer));
            self.buffer.truncate(*read.as_ref().unwrap_or(&0));
            read?;
            for (at, bytes) in &self.replaced {
                for (at, byte) in (*at..).zip(bytes) {
                    let place = at.checked_sub(self.buffer_at).and_then(|place| usize::try_from(place).ok());
                    if let Some(place) = place.and_then(|place| self.buffer.get_mut(place)) {
                        *place = *byte;
                    }
                }
            }
        }
        Ok(&self.buffer[(self.at - self.buffer_at) as usize..])
    }

    fn consume(&mut self, count: usize) {
        self.at += count as u64;
    }
}

impl<R: Read + Seek> Read for TiffFile<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(to)?;
        self.consume(count);
        Ok(count)
    }
}

impl<R> Seek for TiffFile<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn what_is_read_is_the_file_with_its_replacements() {
        let mut expected: Vec<u8> = (0..200_000u32).map(|at| (at % 251) as u8).collect();
        let numbers = Numbers { little: true, big: false };
        let mut file = TiffFile::new(Cursor::new(expected.clone()), numbers).unwrap();
        // Across the end of the first read, and beyond the file.
        for (at, bytes) in [(0, vec![1, 2]), (READ_MIN as u64 - 1, vec![3, 4, 5]), (199_999, vec![6, 7])] {
            for (at, byte) in (at as usize..).zip(&bytes) {
                if at < expected.len() {
                    expected[at] = *byte;
                }
            }
            file.replace(at, bytes);
        }
        let mut whole = Vec::new();
        file.read_to_end(&mut whole).unwrap();
        assert!(whole == expected);
        for at in [511usize, 512, 70_000, 3, 199_990] {
            assert_eq!(file.bytes_at(at as u64, 10).unwrap(), expected[at..at + 10]);
        }
        for beyond in [199_991, 200_000, u64::MAX] {
            let error = file.bytes_at(beyond, 10).unwrap_err();
            assert_eq!((error.kind(), error.raw_os_error()), (io::ErrorKind::UnexpectedEof, None), "{beyond}");
        }
        assert_eq!(file.seek(SeekFrom::End(-2)).unwrap(), 199_998);
        assert_eq!(file.seek(SeekFrom::Current(1)).unwrap(), 199_999);
        assert!(file.seek(SeekFrom::Current(-200_000)).is_err());
    }
}
