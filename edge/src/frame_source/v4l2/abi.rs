//! The part of Linux's V4L2 interface that capturing needs: structures as `videodev2.h` lays them out, and the ioctls that take
//! them. `isize` and `usize` stand for C's `long` and pointers, so that the same source fits 64 and 32 bits; on 32 bits this is
//! the interface with 32-bit timestamps, which every Linux has and which counts uptime for 68 years.

#![allow(unsafe_code, reason = "ioctls have no safe form")]

use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use rustix::ioctl::{self, Setter, Updater, opcode};

/// Single-planar capture, of `enum v4l2_buf_type`.
pub(super) const CAPTURE: u32 = 1;
/// Buffers allocated by the driver and mapped by the program, of `enum v4l2_memory`.
pub(super) const MEMORY_MMAP: u32 = 1;
/// Progressive frames, of `enum v4l2_field`.
pub(super) const FIELD_NONE: u32 = 1;
/// One field per buffer: half of the rows of a frame.
pub(super) const FIELD_ALTERNATE: u32 = 7;

pub(super) const CAP_CAPTURE: u32 = 0x1;
pub(super) const CAP_CAPTURE_MPLANE: u32 = 0x1000;
pub(super) const CAP_STREAMING: u32 = 0x0400_0000;
pub(super) const CAP_DEVICE_CAPS: u32 = 0x8000_0000;

/// The frame may be damaged.
pub(super) const FLAG_ERROR: u32 = 0x40;
pub(super) const FLAG_TIMESTAMP_MASK: u32 = 0xe000;
pub(super) const FLAG_TIMESTAMP_MONOTONIC: u32 = 0x2000;

/// The rate can be set.
pub(super) const PARM_TIME_PER_FRAME: u32 = 0x1000;

/// The members of `struct v4l2_pix_format` after `priv` are valid, of `priv`.
pub(super) const PRIVATE_MAGIC: u32 = 0xfeed_cafe;

pub(super) const SIZE_DISCRETE: u32 = 1;
pub(super) const INTERVAL_DISCRETE: u32 = 1;

/// `struct v4l2_capability`
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Capability {
    pub(super) driver: [u8; 16],
    pub(super) card: [u8; 32],
    pub(super) bus_info: [u8; 32],
    pub(super) version: u32,
    pub(super) capabilities: u32,
    pub(super) device_caps: u32,
    pub(super) reserved: [u32; 3],
}

/// `struct v4l2_fmtdesc`
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct FormatDescription {
    pub(super) index: u32,
    pub(super) kind: u32,
    pub(super) flags: u32,
    pub(super) description: [u8; 32],
    pub(super) pixel_format: u32,
    pub(super) mbus_code: u32,
    pub(super) reserved: [u32; 3],
}

/// `struct v4l2_pix_format`
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct PixelLayout {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) pixel_format: u32,
    pub(super) field: u32,
    pub(super) bytes_per_line: u32,
    pub(super) size_image: u32,
    pub(super) colorspace: u32,
    pub(super) private: u32,
    pub(super) flags: u32,
    pub(super) encoding: u32,
    pub(super) quantization: u32,
    pub(super) transfer: u32,
}

/// `struct v4l2_format` for capture; the union has pointers in other members, hence its alignment.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(super) struct Format {
    pub(super) kind: u32,
    pub(super) aligned: [usize; 0],
    pub(super) pixels: PixelLayout,
    pub(super) rest: [u32; 38],
}

impl Default for Format {
    fn default() -> Self {
        Format { kind: CAPTURE, aligned: [], pixels: PixelLayout::default(), rest: [0; 38] }
    }
}

/// `struct v4l2_fract`
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fraction {
    pub(super) numerator: u32,
    pub(super) denominator: u32,
}

/// `struct v4l2_streamparm` for capture.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(super) struct Parameters {
    pub(super) kind: u32,
    pub(super) capability: u32,
    pub(super) mode: u32,
    pub(super) time_per_frame: Fraction,
    pub(super) rest: [u32; 46],
}

impl Default for Parameters {
    fn default() -> Self {
        Parameters { kind: CAPTURE, capability: 0, mode: 0, time_per_frame: Fraction::default(), rest: [0; 46] }
    }
}

/// `struct v4l2_requestbuffers`
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct BufferRequest {
    pub(super) count: u32,
    pub(super) kind: u32,
    pub(super) memory: u32,
    pub(super) capabilities: u32,
    pub(super) flags: u32,
}

/// `struct v4l2_buffer`
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Buffer {
    pub(super) index: u32,
    pub(super) kind: u32,
    pub(super) bytes_used: u32,
    pub(super) flags: u32,
    pub(super) field: u32,
    /// Seconds and microseconds, `struct timeval`.
    pub(super) timestamp: [isize; 2],
    pub(super) timecode: [u32; 4],
    pub(super) sequence: u32,
    pub(super) memory: u32,
    /// A union, of which the 32-bit `offset` is used.
    pub(super) place: usize,
    pub(super) length: u32,
    pub(super) reserved: [u32; 2],
}

impl Buffer {
    pub(super) fn of(index: u32) -> Self {
        Buffer { index, kind: CAPTURE, memory: MEMORY_MMAP, ..Buffer::default() }
    }

    /// Offset that the buffer is mapped from.
    pub(super) fn offset(&self) -> u32 {
        // The first four bytes of the union, on either byte order.
        let bytes = self.place.to_ne_bytes();
        u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    }
}

/// `struct v4l2_frmsizeenum`
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct FrameSize {
    pub(super) index: u32,
    pub(super) pixel_format: u32,
    pub(super) kind: u32,
    /// Width and height; or minimum, maximum and step of the width, then of the height.
    pub(super) sides: [u32; 6],
    pub(super) reserved: [u32; 2],
}

/// `struct v4l2_frmivalenum`
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct FrameInterval {
    pub(super) index: u32,
    pub(super) pixel_format: u32,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) kind: u32,
    /// The interval; or minimum, maximum and step.
    pub(super) intervals: [Fraction; 3],
    pub(super) reserved: [u32; 2],
}

// The ioctl numbers contain these sizes.
const _: () = {
    let wide = size_of::<usize>() == 8;
    assert!(size_of::<Capability>() == 104);
    assert!(size_of::<FormatDescription>() == 64);
    assert!(size_of::<PixelLayout>() == 48);
    assert!(size_of::<Format>() == if wide { 208 } else { 204 });
    assert!(size_of::<Parameters>() == 204);
    assert!(size_of::<BufferRequest>() == 20);
    assert!(size_of::<Buffer>() == if wide { 88 } else { 68 });
    assert!(size_of::<FrameSize>() == 44);
    assert!(size_of::<FrameInterval>() == 52);
    assert!(std::mem::offset_of!(Format, pixels) == if wide { 8 } else { 4 });
    assert!(std::mem::offset_of!(Parameters, time_per_frame) == 12);
    assert!(std::mem::offset_of!(Buffer, timestamp) == if wide { 24 } else { 20 });
    assert!(std::mem::offset_of!(Buffer, sequence) == if wide { 56 } else { 44 });
    assert!(std::mem::offset_of!(Buffer, place) == if wide { 64 } else { 52 });
    assert!(std::mem::offset_of!(Buffer, length) == if wide { 72 } else { 56 });
};

/// Repeats a call that was interrupted by a signal.
fn again<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

macro_rules! calls {
    ($($(#[$text:meta])* $name:ident($type:ty) = $opcode:expr;)*) => {
        $(
            $(#[$text])*
            pub(super) fn $name(device: BorrowedFd<'_>, value: &mut $type) -> Result<(), Errno> {
                // SAFETY: the number is Linux's for this structure and contains its size; Linux reads and writes no further,
                // and any bytes are a valid value of it. A driver of another kind rejects the number.
                again(|| unsafe { ioctl::ioctl(device, Updater::<{ $opcode }, $type>::new(value)) })
            }
        )*
    };
}

calls! {
    /// `VIDIOC_QUERYCAP`
    query_capability(Capability) = opcode::read::<Capability>(b'V', 0);
    /// `VIDIOC_ENUM_FMT`
    list_format(FormatDescription) = opcode::read_write::<FormatDescription>(b'V', 2);
    /// `VIDIOC_G_FMT`
    get_format(Format) = opcode::read_write::<Format>(b'V', 4);
    /// `VIDIOC_S_FMT`
    set_format(Format) = opcode::read_write::<Format>(b'V', 5);
    /// `VIDIOC_REQBUFS`
    request_buffers(BufferRequest) = opcode::read_write::<BufferRequest>(b'V', 8);
    /// `VIDIOC_QUERYBUF`
    query_buffer(Buffer) = opcode::read_write::<Buffer>(b'V', 9);
    /// `VIDIOC_QBUF`
    queue(Buffer) = opcode::read_write::<Buffer>(b'V', 15);
    /// `VIDIOC_DQBUF`
    dequeue(Buffer) = opcode::read_write::<Buffer>(b'V', 17);
    /// `VIDIOC_G_PARM`
    get_parameters(Parameters) = opcode::read_write::<Parameters>(b'V', 21);
    /// `VIDIOC_S_PARM`
    set_parameters(Parameters) = opcode::read_write::<Parameters>(b'V', 22);
    /// `VIDIOC_ENUM_FRAMESIZES`
    list_size(FrameSize) = opcode::read_write::<FrameSize>(b'V', 74);
    /// `VIDIOC_ENUM_FRAMEINTERVALS`
    list_interval(FrameInterval) = opcode::read_write::<FrameInterval>(b'V', 75);
}

/// `VIDIOC_STREAMON`
pub(super) fn stream_on(device: BorrowedFd<'_>) -> Result<(), Errno> {
    const CODE: ioctl::Opcode = opcode::write::<i32>(b'V', 18);
    // SAFETY: Linux reads one int.
    again(|| unsafe { ioctl::ioctl(device, Setter::<CODE, i32>::new(CAPTURE as i32)) })
}

/// `VIDIOC_STREAMOFF`
pub(super) fn stream_off(device: BorrowedFd<'_>) -> Result<(), Errno> {
    const CODE: ioctl::Opcode = opcode::write::<i32>(b'V', 19);
    // SAFETY: Linux reads one int.
    again(|| unsafe { ioctl::ioctl(device, Setter::<CODE, i32>::new(CAPTURE as i32)) })
}

/// A string that ends at the first zero byte. Control characters, which a terminal might interpret, are left out.
pub(super) fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).chars().filter(|character| !character.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    fn ioctl_numbers_match_the_header() {
        // As printed by a C program on a 64-bit machine.
        assert_eq!(opcode::read::<Capability>(b'V', 0), 0x8068_5600);
        assert_eq!(opcode::read_write::<FormatDescription>(b'V', 2), 0xc040_5602);
        assert_eq!(opcode::read_write::<Format>(b'V', 5), 0xc0d0_5605);
        assert_eq!(opcode::read_write::<BufferRequest>(b'V', 8), 0xc014_5608);
        assert_eq!(opcode::read_write::<Buffer>(b'V', 17), 0xc058_5611);
        assert_eq!(opcode::read_write::<Parameters>(b'V', 22), 0xc0cc_5616);
        assert_eq!(opcode::write::<i32>(b'V', 18), 0x4004_5612);
        assert_eq!(opcode::read_write::<FrameSize>(b'V', 74), 0xc02c_564a);
        assert_eq!(opcode::read_write::<FrameInterval>(b'V', 75), 0xc034_564b);
    }

    #[test]
    fn strings_end_at_the_first_zero() {
        assert_eq!(text(b"viv\x1bid\0rest"), "vivid");
        assert_eq!(text(b"full"), "full");
    }

    #[test]
    fn the_offset_is_the_first_half_of_the_union() {
        let mut bytes = [0xff; size_of::<usize>()];
        bytes[..4].copy_from_slice(&0x1234_5000_u32.to_ne_bytes());
        let buffer = Buffer { place: usize::from_ne_bytes(bytes), ..Buffer::of(3) };
        assert_eq!((buffer.offset(), buffer.index), (0x1234_5000, 3));
    }
}
