//! The kernel's V4L2 interface, as far as capturing needs it: structures as `videodev2.h` lays them out, and the calls that
//! take them. Written with `isize` and `usize` where the kernel says `long` and has pointers, so that one text fits 64 and 32
//! bits; on 32 bits it is the interface with 32-bit times, which every kernel has, and whose seconds since the start last 68
//! years.

#![allow(unsafe_code, reason = "the kernel's calls have no safe form")]

use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use rustix::ioctl::{self, Setter, Updater, opcode};

/// Single-planar capture, of `enum v4l2_buf_type`.
pub(super) const CAPTURE: u32 = 1;
/// Memory that the driver has and the program maps, of `enum v4l2_memory`.
pub(super) const MEMORY_MMAP: u32 = 1;
/// Whole frames, of `enum v4l2_field`.
pub(super) const FIELD_NONE: u32 = 1;
/// One field a buffer: half of a frame's rows.
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

/// `struct v4l2_format` for capture; the kernel's union has pointers in other members, hence its alignment.
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
    /// A union of which `offset`, 32 bits, is used.
    pub(super) place: usize,
    pub(super) length: u32,
    pub(super) reserved: [u32; 2],
}

impl Buffer {
    pub(super) fn of(index: u32) -> Self {
        Buffer { index, kind: CAPTURE, memory: MEMORY_MMAP, ..Buffer::default() }
    }

    /// Where the buffer is mapped from.
    pub(super) fn offset(&self) -> u32 {
        // The union's first four bytes, wherever the high ones are.
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
    /// Width and height; or least, greatest and step of the width, then of the height.
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
    /// The interval; or the least, the greatest and the step.
    pub(super) intervals: [Fraction; 3],
    pub(super) reserved: [u32; 2],
}

// The kernel takes these sizes into the numbers of its calls.
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

/// A call that a signal interrupted is made again.
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
                // SAFETY: the number is the kernel's for this structure, whose size it has in itself; the kernel reads and
                // writes no further, and any bytes are a value of it. A device of another driver knows no such number.
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
    // SAFETY: the kernel reads one int.
    again(|| unsafe { ioctl::ioctl(device, Setter::<CODE, i32>::new(CAPTURE as i32)) })
}

/// `VIDIOC_STREAMOFF`
pub(super) fn stream_off(device: BorrowedFd<'_>) -> Result<(), Errno> {
    const CODE: ioctl::Opcode = opcode::write::<i32>(b'V', 19);
    // SAFETY: the kernel reads one int.
    again(|| unsafe { ioctl::ioctl(device, Setter::<CODE, i32>::new(CAPTURE as i32)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    fn numbers_are_those_of_the_header() {
        // As a C compiler prints them on a 64-bit machine.
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
    fn the_offset_is_the_unions_first_half() {
        let mut bytes = [0xff; size_of::<usize>()];
        bytes[..4].copy_from_slice(&0x1234_5000_u32.to_ne_bytes());
        let buffer = Buffer { place: usize::from_ne_bytes(bytes), ..Buffer::of(3) };
        assert_eq!((buffer.offset(), buffer.index), (0x1234_5000, 3));
    }
}
