//! What a device says it can do: `VIDIOC_QUERYCAP`, and what we make of the answer.

use std::fmt;
use std::os::fd::BorrowedFd;

use rustix::io::Errno;

use super::abi;

/// The capabilities of a device file; one camera may have several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Capabilities {
    pub(crate) driver: String,
    pub(crate) card: String,
    pub(crate) bus: String,
    pub(crate) flags: u32,
}

/// Why frames cannot be read from a video device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unusable {
    MultiPlanar,
    NoCapture,
    NoStreaming,
}

impl fmt::Display for Unusable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Unusable::MultiPlanar => "only captures multi-planar formats, which are not supported",
            Unusable::NoCapture => "does not capture video",
            Unusable::NoStreaming => "does not stream to mapped buffers",
        })
    }
}

impl Capabilities {
    /// Queries an open file. A file that is not a video device fails with `ENOTTY` or `EINVAL`.
    pub(crate) fn query(device: BorrowedFd<'_>) -> Result<Self, Errno> {
        let mut answer = abi::Capability::default();
        abi::query_capability(device, &mut answer)?;
        let per_file = answer.capabilities & abi::CAP_DEVICE_CAPS != 0;
        let flags = if per_file { answer.device_caps } else { answer.capabilities };
        let [driver, card, bus] = [&answer.driver[..], &answer.card[..], &answer.bus_info[..]].map(abi::text);
        Ok(Capabilities { driver, card, bus, flags })
    }

    /// Whether frames can be read from it.
    pub(crate) fn check(&self) -> Result<(), Unusable> {
        let has = |flag: u32| self.flags & flag != 0;
        if has(abi::CAP_CAPTURE) && has(abi::CAP_STREAMING) {
            Ok(())
        } else if has(abi::CAP_CAPTURE) {
            Err(Unusable::NoStreaming)
        } else if has(abi::CAP_CAPTURE_MPLANE) {
            Err(Unusable::MultiPlanar)
        } else {
            Err(Unusable::NoCapture)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_file_is_not_a_video_device() {
        let error = Capabilities::query(tempfile::tempfile().unwrap().as_fd()).unwrap_err();
        assert!(matches!(error, Errno::NOTTY | Errno::INVAL), "{error}");
    }

    #[test]
    fn frames_need_capture_and_streaming() {
        let check =
            |flags| Capabilities { driver: String::new(), card: String::new(), bus: String::new(), flags }.check();
        let (capture, planes, streaming) = (abi::CAP_CAPTURE, abi::CAP_CAPTURE_MPLANE, abi::CAP_STREAMING);
        assert_eq!(check(capture | streaming), Ok(()));
        assert_eq!(check(capture | planes | streaming), Ok(()));
        assert_eq!(check(capture), Err(Unusable::NoStreaming));
        assert_eq!(check(planes | streaming), Err(Unusable::MultiPlanar));
        assert_eq!(check(streaming), Err(Unusable::NoCapture));
    }
}
