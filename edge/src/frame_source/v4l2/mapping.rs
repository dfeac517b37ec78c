//! A driver's buffer, mapped into this process.

#![allow(unsafe_code, reason = "memory shared with a driver has no safe form")]

use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::{self, NonNull};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// Mapped until it is dropped.
#[derive(Debug)]
pub(super) struct Mapping {
    address: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and is only read.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps `len` bytes of the device for reading.
    pub(super) fn new(device: BorrowedFd<'_>, offset: u32, len: usize) -> io::Result<Self> {
        // SAFETY: Linux chooses an address that is not in use.
        let address =
            unsafe { mmap(ptr::null_mut(), len, ProtFlags::READ, MapFlags::SHARED, device, u64::from(offset)) }?;
        let address = NonNull::new(address.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Mapping { address, len })
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Appends the first `len` bytes, or all if there are fewer, to `bytes`. The buffer must not be in the driver's queue.
    pub(super) fn copy_to(&self, bytes: &mut Vec<u8>, len: usize) {
        let len = len.min(self.len);
        bytes.reserve(len);
        // SAFETY: the mapping has at least `len` bytes and does not overlap the vector, which has room for them. No reference
        // to the mapping is created: if a driver writes to it against the rules, the bytes are wrong and nothing else.
        unsafe {
            ptr::copy_nonoverlapping(self.address.as_ptr(), bytes.as_mut_ptr().add(bytes.len()), len);
            bytes.set_len(bytes.len() + len);
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length, and there are no references to it. A failure would have no consequence.
        let _ = unsafe { munmap(self.address.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn only_bytes_of_the_mapping_are_copied() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[7; 4096]).unwrap();
        file.write_all(b"abcd").unwrap();
        let mapping = Mapping::new(file.as_fd(), 4096, 4).unwrap();
        let mut bytes = vec![1];
        mapping.copy_to(&mut bytes, 2);
        mapping.copy_to(&mut bytes, 100);
        assert_eq!((bytes.as_slice(), mapping.len()), (b"\x01ababcd".as_slice(), 4));
        let error = Mapping::new(file.as_fd(), 1, 4).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
