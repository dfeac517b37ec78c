//! All cameras of the machine and what they offer.

use std::path::{Path, PathBuf};

use super::CameraFormat;
use super::capability::Capabilities;
use super::device::{Device, DeviceError, Sizes, letters};
use unet_engine::error::chain;

/// A camera, or a device that could not be queried.
#[derive(Debug, Clone, PartialEq)]
pub struct CameraInfo {
    /// Such as `/dev/video0`.
    pub device: PathBuf,
    /// Name of the driver.
    pub driver: String,
    /// Name of the camera.
    pub card: String,
    /// Where it is connected.
    pub bus: String,
    /// What it offers.
    pub formats: Vec<FormatInfo>,
    /// Why it could not be queried; everything but the device is empty then.
    pub problem: Option<String>,
}

/// A format of a camera.
#[derive(Debug, Clone, PartialEq)]
pub struct FormatInfo {
    /// The four letters of V4L2.
    pub code: String,
    /// The driver's description.
    pub description: String,
    /// The format, if it is supported.
    pub known: Option<CameraFormat>,
    /// Its sizes; empty if the driver does not list them.
    pub sizes: Vec<Sizes>,
}

/// The cameras below `/dev`, in the order of their numbers. Devices that do not capture video are left out: many cameras have
/// a second device for metadata.
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
    devices.iter().filter_map(|(_, path)| query(path)).collect()
}

fn query(path: &Path) -> Option<CameraInfo> {
    let device = match Device::open(path) {
        Ok(device) => device,
        Err(DeviceError::NotVideo | DeviceError::Unusable(_)) => return None,
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
    let Capabilities { driver, card, bus, .. } = device.capabilities;
    Some(CameraInfo { device: path.to_owned(), driver, card, bus, formats, problem: None })
}
