//! Tools for the checks inside an emulated board that busybox lacks. Built by `tests/board/run` with rustc alone.
//!
//! `guest_tool control DEVICE NAME VALUE` sets a control of a V4L2 device by the driver's name for it.
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
        ["listen", socket] => listen(socket),
        _ => Err("expected control DEVICE NAME VALUE, or listen SOCKET".to_owned()),
    };
    if let Err(error) = result {
        eprintln!("guest_tool: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
