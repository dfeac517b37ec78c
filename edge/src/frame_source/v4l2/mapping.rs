//! A buffer of a driver, mapped into this process.

#![allow(unsafe_code, reason = "memory that the kernel shares has no safe form")]

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
        // SAFETY: the kernel chooses a place where nothing else lies.
        let address =
            unsafe { mmap(ptr::null_mut(), len, ProtFlags::READ, MapFlags::SHARED, device, u64::from(offset)) }?;
        let address = NonNull::new(address.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Mapping { address, len })
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Copies the first `len` bytes, or as many as there are, to the end of `bytes`. The buffer has to be out of the driver's
    /// queue.
    pub(super) fn copy_to(&self, bytes: &mut Vec<u8>, len: usize) {
        let len = len.min(self.len);
        bytes.reserve(len);
        // SAFETY: the mapping has at least `len` bytes and lies apart from the vector, which has room for them. No reference
        // to the mapping is made: should a driver write to it against the rules, the bytes are wrong and no more.
        unsafe {
            ptr::copy_nonoverlapping(self.address.as_ptr(), bytes.as_mut_ptr().add(bytes.len()), len);
            bytes.set_len(bytes.len() + len);
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length, and nobody holds a reference to it. That it fails is not to be expected,
        // and nothing would follow from it.
        let _ = unsafe { munmap(self.address.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn bytes_of_a_mapping_are_copied_and_no_more() {
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
