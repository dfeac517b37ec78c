//! All cameras of the machine, with what they offer.

use std::path::{Path, PathBuf};

use super::super::CameraFormat;
use super::device::{Device, DeviceError, Sizes, letters};
use unet_engine::error::chain;

/// A camera, or a device that could not be asked.
#[derive(Debug, Clone, PartialEq)]
pub struct CameraInfo {
    /// Such as `/dev/video0`.
    pub device: PathBuf,
    /// Its driver's name.
    pub driver: String,
    /// Its own name.
    pub card: String,
    /// Where it is plugged in.
    pub bus: String,
    /// What it offers.
    pub formats: Vec<FormatInfo>,
    /// Why it could not be asked; then all but the device is empty.
    pub problem: Option<String>,
}

/// A format of a camera.
#[derive(Debug, Clone, PartialEq)]
pub struct FormatInfo {
    /// The kernel's four letters.
    pub code: String,
    /// What the driver calls it.
    pub description: String,
    /// The format, where frames of it are read.
    pub known: Option<CameraFormat>,
    /// Its sizes; none where the driver does not say.
    pub sizes: Vec<Sizes>,
}

/// The cameras below `/dev`, in the order of their numbers. Devices that capture no video are left out: a camera has a second
/// one for what it says about its pictures.
pub fn list_cameras() -> Vec<CameraInfo> {
    let mut devices: Vec<(u32, PathBuf)> = std::fs::read_dir("/dev")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.strip_prefix("video")?.parse().ok()?;
            Some((number, entry.path()))
        })
        .collect();
    devices.sort_unstable();
    devices.iter().filter_map(|(_, path)| ask(path)).collect()
}

fn ask(path: &Path) -> Option<CameraInfo> {
    let device = match Device::open(path) {
        Ok(device) => device,
        Err(DeviceError::Kind { .. }) => return None,
        Err(error) => {
            return Some(CameraInfo {
                device: path.to_owned(),
                driver: String::new(),
                card: String::new(),
                bus: String::new(),
                formats: Vec::new(),
                problem: Some(chain(&error)),
            });
        }
    };
    let formats = device
        .formats()
        .into_iter()
        .map(|(code, description)| FormatInfo {
            code: letters(code),
            description,
            known: CameraFormat::from_code(code),
            sizes: device.sizes(code),
        })
        .collect();
    let Device { driver, card, bus, .. } = device;
    Some(CameraInfo { device: path.to_owned(), driver, card, bus, formats, problem: None })
}
