//! What a video device says of itself: the kernel's `VIDIOC_QUERYCAP`.

#![allow(unsafe_code, reason = "the one question that the kernel answers by ioctl alone")]

use std::fs::File;
use std::io;

use rustix::ioctl::{Getter, Opcode, ioctl, opcode};

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Capability {
    pub driver: String,
    pub card: String,
    /// What this device file can; a camera may have several.
    pub flags: u32,
}

/// Gives pictures in one plane of memory.
pub(super) const CAPTURE: u32 = 1;
/// Gives pictures in several.
pub(super) const CAPTURE_PLANES: u32 = 0x1000;
/// Gives them in buffers that are mapped.
pub(super) const STREAMING: u32 = 0x0400_0000;
/// The flags of the device file stand apart from those of the whole device.
const DEVICE_CAPS: u32 = 0x8000_0000;

/// The kernel's `struct v4l2_capability`, the same on all architectures.
#[repr(C)]
struct Raw {
    driver: [u8; 16],
    card: [u8; 32],
    bus: [u8; 32],
    version: u32,
    capabilities: u32,
    device_caps: u32,
    reserved: [u32; 3],
}

const QUERYCAP: Opcode = opcode::read::<Raw>(b'V', 0);

/// Asks an open file; one that is no video device answers with an error.
pub(super) fn query(file: &File) -> io::Result<Capability> {
    // SAFETY: the kernel's number for this question has the size of `Raw` in it, which has its layout, and any bytes are a `Raw`.
    let raw = unsafe { ioctl(file, Getter::<QUERYCAP, Raw>::new()) }?;
    let flags = if raw.capabilities & DEVICE_CAPS != 0 { raw.device_caps } else { raw.capabilities };
    Ok(Capability { driver: text(&raw.driver), card: text(&raw.card), flags })
}

/// Up to the zero; what a terminal could take for an order is no part of a name.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).chars().filter(|character| !character.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_has_the_kernels_number() {
        // From the kernel's videodev2.h: _IOR('V', 0, struct v4l2_capability) of 104 bytes.
        assert_eq!((QUERYCAP, size_of::<Raw>()), (0x8068_5600, 104));
    }

    #[test]
    fn a_file_is_no_video_device() {
        assert!(query(&tempfile::tempfile().unwrap()).is_err());
    }

    #[test]
    fn names_end_at_the_zero() {
        assert_eq!(text(b"viv\x1bid\0rest"), "vivid");
        assert_eq!(text(b"full"), "full");
    }
}
