//! Tools for the checks inside an emulated board that busybox lacks. Built by `tests/board/run` with rustc alone.
//!
//! `guest_tool control DEVICE NAME VALUE` sets a control of a V4L2 device by the driver's name for it.
//! `guest_tool bars FILE.uerec` checks that every frame of a recording shows the colours of the test camera's 100 % bars, in the
//! range and with the matrix that the recording states; prints a line for each kind of frame.
//! `guest_tool scene WIDTH HEIGHT FILE.bmp` writes an RGB image with something to segment everywhere.
//! `guest_tool listen SOCKET` acts as the service manager: it prints a line per datagram, with the seconds since boot.

use std::ffi::{c_int, c_ulong};
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::process::ExitCode;

/// `struct v4l2_queryctrl`.
#[repr(C)]
#[derive(Default)]
struct Query {
    id: u32,
    kind: u32,
    name: [u8; 32],
    minimum: i32,
    maximum: i32,
    step: i32,
    default: i32,
    flags: u32,
    reserved: [u32; 2],
}

/// `struct v4l2_control`.
#[repr(C)]
struct Control {
    id: u32,
    value: i32,
}

const QUERY: c_ulong = 0xc044_5624;
const SET: c_ulong = 0xc008_561c;
/// Queries the control after this one.
const NEXT: u32 = 0x8000_0000;

unsafe extern "C" {
    fn ioctl(descriptor: c_int, request: c_ulong, ...) -> c_int;
}

/// `object` must be of the type of the request.
fn call<T>(device: &File, request: c_ulong, object: &mut T) -> std::io::Result<()> {
    // SAFETY: the descriptor is open, and Linux reads and writes only the object, whose layout is that of the request.
    match unsafe { ioctl(device.as_raw_fd(), request, std::ptr::from_mut(object)) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

fn control(device: &str, wanted: &str, value: &str) -> Result<(), String> {
    let value = value.parse().map_err(|error| format!("{value}: {error}"))?;
    let file = File::options().read(true).write(true).open(device).map_err(|error| format!("{device}: {error}"))?;
    let mut names = Vec::new();
    let mut query = Query { id: NEXT, ..Query::default() };
    while call(&file, QUERY, &mut query).is_ok() {
        let end = query.name.iter().position(|byte| *byte == 0).unwrap_or(query.name.len());
        let name = String::from_utf8_lossy(&query.name[..end]).into_owned();
        if name == wanted {
            let mut control = Control { id: query.id, value };
            return call(&file, SET, &mut control).map_err(|error| format!("{device}: {name}: {error}"));
        }
        names.push(name);
        query = Query { id: query.id | NEXT, ..Query::default() };
    }
    Err(format!("{device}: no control {wanted:?}, only {names:?}"))
}

/// The bars from left to right, as red, green and blue.
const BARS: [[u8; 3]; 8] = [[1, 1, 1], [1, 1, 0], [0, 1, 1], [0, 1, 0], [1, 0, 1], [1, 0, 0], [0, 0, 1], [0, 0, 0]];
/// How far a byte may be from the standards' formula: the driver computes with integers, and has 254 for white.
const ROUNDING: f64 = 4.0;

/// A frame as the recording describes it.
struct Frame<'a> {
    format: u8,
    range: &'static str,
    matrix: &'static str,
    width: usize,
    height: usize,
    stride: usize,
    bytes: &'a [u8],
}

impl Frame<'_> {
    fn name(&self) -> &'static str {
        ["jpeg", "gray8", "rgb8", "bgr8", "rgba8", "yuyv", "uyvy", "nv12"]
            .get(usize::from(self.format))
            .unwrap_or(&"unknown")
    }

    /// Luma and chroma of a bar by ITU-R BT.601 and BT.709; of gray, luma by BT.709 in full range, as this driver computes it.
    fn yuv(&self, bar: [u8; 3]) -> [f64; 3] {
        let (kr, kb) = if self.matrix == "bt601" { (0.299, 0.114) } else { (0.2126, 0.0722) };
        let [r, g, b] = bar.map(f64::from);
        let y = kr * r + (1.0 - kr - kb) * g + kb * b;
        let chroma = [(b - y) / (2.0 - 2.0 * kb), (r - y) / (2.0 - 2.0 * kr)];
        let (black, luma, swing) = if self.range == "limited" { (16.0, 219.0, 224.0) } else { (0.0, 255.0, 255.0) };
        let [u, v] = chroma.map(|value| 128.0 + swing * value);
        [black + luma * y, u, v]
    }

    /// The bytes of a pixel, or of the two that share chroma, each with its expected value.
    fn pixel(&self, x: usize, y: usize) -> Option<Vec<(u8, f64)>> {
        let bar = BARS[x * BARS.len() / self.width];
        let [luma, u, v] = self.yuv(bar);
        let at = |offset: usize| self.bytes.get(offset).copied();
        let row = y * self.stride;
        let pair = row + x / 2 * 4;
        let chroma = self.height * self.stride + y / 2 * self.stride + x / 2 * 2;
        Some(match self.name() {
            "gray8" => vec![(at(row + x)?, luma)],
            "rgb8" => (0..3).map(|c| Some((at(row + 3 * x + c)?, 255.0 * f64::from(bar[c])))).collect::<Option<_>>()?,
            "yuyv" => vec![(at(pair + x % 2 * 2)?, luma), (at(pair + 1)?, u), (at(pair + 3)?, v)],
            "uyvy" => vec![(at(pair + 1 + x % 2 * 2)?, luma), (at(pair)?, u), (at(pair + 2)?, v)],
            "nv12" => vec![(at(row + x)?, luma), (at(chroma)?, u), (at(chroma + 1)?, v)],
            _ => return None,
        })
    }

    /// The largest difference of any byte.
    fn difference(&self) -> Option<f64> {
        let mut largest = 0.0_f64;
        for y in 0..self.height {
            for x in 0..self.width {
                for (found, expected) in self.pixel(x, y)? {
                    largest = largest.max((f64::from(found) - expected.clamp(0.0, 255.0)).abs());
                }
            }
        }
        Some(largest)
    }
}

/// The next `length` bytes.
fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], String> {
    let (taken, left) = rest.split_at_checked(length).ok_or("the recording is cut")?;
    *rest = left;
    Ok(taken)
}

/// Reads a recording without the program's reader, from the description of the format (`edge/src/frame_source/recording.rs`).
fn bars(path: &str) -> Result<(), String> {
    let file = fs::read(path).map_err(|error| format!("{path}: {error}"))?;
    let rest = &mut file.strip_prefix(b"UEREC001").ok_or("expected a recording")?;
    let mut lines: Vec<String> = Vec::new();
    while !rest.is_empty() {
        let header = take(rest, 40)?;
        let number =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]) as usize;
        let [width, height, stride, length] = [8, 12, 16, 20].map(number);
        let bytes = take(rest, length)?;
        take(rest, 8)?;
        let range = ["no range", "limited", "full"].get(usize::from(header[5])).ok_or("unknown range")?;
        let matrix = ["no matrix", "bt601", "bt709"].get(usize::from(header[6])).ok_or("unknown matrix")?;
        let frame = Frame { format: header[4], range, matrix, width, height, stride, bytes };
        let line = format!("{} {range} {matrix} {width}x{height}", frame.name());
        let difference = frame.difference().ok_or_else(|| format!("{line}: expected other bytes, found {length}"))?;
        if difference > ROUNDING {
            return Err(format!("{line}: a byte is {difference:.1} from that of the bars"));
        }
        lines.push(line);
    }
    lines.dedup();
    for line in &lines {
        println!("{line}");
    }
    if lines.is_empty() { Err("expected a frame, found none".to_owned()) } else { Ok(()) }
}

/// Discs of many sizes over a gradient, with noise.
fn scene(width: &str, height: &str, path: &str) -> Result<(), String> {
    let side = |side: &str| side.parse::<u32>().map_err(|error| format!("{side}: {error}"));
    let (width, height) = (side(width)?, side(height)?);
    // Xorshift, by G. Marsaglia.
    let mut state = 2_463_534_242_u32;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    let side = width.max(height);
    let discs: Vec<[i64; 4]> = (0..width * height / 4000 + 1)
        .map(|_| [random() % width, random() % height, 4 + random() % (side / 20 + 1), random() % 200].map(i64::from))
        .collect();
    let stride = (3 * width).next_multiple_of(4);
    let size = 54 + stride * height;
    let mut file = Vec::with_capacity(size as usize);
    // `BITMAPFILEHEADER` and `BITMAPINFOHEADER`: 24 bits, not compressed; rows from the bottom to the top.
    file.extend(*b"BM");
    for value in [size, 0, 54, 40, width, height, 1 | 24 << 16, 0, stride * height, 2835, 2835, 0, 0] {
        file.extend(value.to_le_bytes());
    }
    let mut row = vec![[0_i64; 3]; width as usize];
    for y in 0..i64::from(height) {
        for (pixel, x) in row.iter_mut().zip(0_i64..) {
            *pixel = [(x + y) * 60 / i64::from(side); 3];
        }
        for [left, top, radius, light] in &discs {
            let inside = radius * radius - (y - top) * (y - top);
            if inside >= 0 {
                let half = inside.isqrt();
                let columns = (left - half).max(0) as usize..((left + half + 1) as usize).min(row.len());
                row[columns].fill([*light, *light + 8, *light + 16]);
            }
        }
        for pixel in &row {
            let noise = i64::from(random() % 32);
            file.extend(pixel.map(|value| (value + noise) as u8));
        }
        // Rows are padded to 4 bytes, counted from the end of the header.
        file.resize((file.len() - 54).next_multiple_of(4) + 54, 0);
    }
    fs::write(path, file).map_err(|error| format!("{path}: {error}"))
}

fn listen(path: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{path}: {error}");
    let socket = UnixDatagram::bind(path).map_err(failed)?;
    let mut bytes = [0; 4096];
    loop {
        let length = socket.recv(&mut bytes).map_err(failed)?;
        let uptime = fs::read_to_string("/proc/uptime").map_err(failed)?;
        let seconds = uptime.split(' ').next().unwrap_or_default();
        for line in String::from_utf8_lossy(&bytes[..length]).lines() {
            println!("{seconds} {line}");
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["control", device, name, value] => control(device, name, value),
        ["bars", path] => bars(path),
        ["scene", width, height, path] => scene(width, height, path),
        ["listen", socket] => listen(socket),
        _ => Err("expected control DEVICE NAME VALUE, bars FILE, scene WIDTH HEIGHT FILE, or listen SOCKET".to_owned()),
    };
    if let Err(error) = result {
        eprintln!("guest_tool: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
