//! Where frames come from: cameras, programs, files.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

use super::Finding;
use crate::frame_source::Requirement;
#[cfg(target_os = "linux")]
use crate::frame_source::v4l2::Capabilities;
use unet_engine::machine::Roots;
use unet_engine::machine::roots::entries;

const SUBJECT: &str = "source";

/// Drivers that deliver raw sensor data, with the preset of the program that processes it.
const RAW_SENSORS: [(&str, &str); 6] = [
    ("unicam", "rpicam-vid"),
    ("rp1-cfe", "rpicam-vid"),
    ("bcm2835-isp", "rpicam-vid"),
    ("pispbe", "rpicam-vid"),
    ("tegra-video", "gstreamer-jetson"),
    ("tegra-camrtc-ca", "gstreamer-jetson"),
];

pub(super) fn examine(roots: &Roots, programs: &OsStr, requirement: Option<Requirement<'_>>) -> Vec<Finding> {
    let finding = match requirement {
        None => return cameras(roots),
        Some(Requirement::Camera(device)) => camera(roots, device),
        Some(Requirement::Program(name)) => program(programs, name),
        Some(Requirement::Path(path)) => file(path),
        Some(Requirement::Nothing(name)) => Finding::ok(SUBJECT, name),
    };
    vec![finding]
}

fn file(path: &Path) -> Finding {
    match std::fs::metadata(path) {
        Ok(metadata) => {
            let what = if metadata.is_dir() { "a folder" } else { "a file" };
            Finding::ok(SUBJECT, format!("{}: {what}", path.display()))
        }
        Err(error) => {
            let advice = "fix the path; relative paths start at the working directory of the program";
            Finding::problem(SUBJECT, format!("{}: {error}", path.display()), advice)
        }
    }
}

fn program(programs: &OsStr, name: &str) -> Finding {
    let found = if name.contains('/') {
        Some(PathBuf::from(name)).filter(|path| path.is_file())
    } else {
        std::env::split_paths(programs).map(|folder| folder.join(name)).find(|path| path.is_file())
    };
    match found {
        Some(path) => Finding::ok(SUBJECT, format!("program {}", path.display())),
        None => {
            let advice = match name {
                "rpicam-vid" => "sudo apt install rpicam-apps",
                "gst-launch-1.0" => "sudo apt install gstreamer1.0-tools",
                _ => "install it, or configure its full path",
            };
            Finding::problem(SUBJECT, format!("program {name}: not found"), advice)
        }
    }
}

/// The configured camera.
fn camera(roots: &Roots, device: &Path) -> Finding {
    match open(roots, device) {
        Opened::Missing => {
            let others: Vec<_> = entries(&roots.dev, "video")
                .iter()
                .map(|path| Path::new("/dev").join(path.file_name().unwrap_or_default()).display().to_string())
                .collect();
            let others = if others.is_empty() { "no camera".to_owned() } else { others.join(", ") };
            let advice = "plug the camera in, load its driver, or configure another one";
            Finding::problem(SUBJECT, format!("{}: not found; found {others}", device.display()), advice)
        }
        Opened::Unusable(finding) | Opened::Camera(finding) => finding,
    }
}

/// All cameras, if none is configured.
fn cameras(roots: &Roots) -> Vec<Finding> {
    let devices = entries(&roots.dev, "video");
    let mut findings = Vec::new();
    let mut others = None;
    for path in &devices {
        let device = Path::new("/dev").join(path.file_name().unwrap_or_default());
        match open(roots, &device) {
            Opened::Camera(finding) => findings.push(finding),
            Opened::Unusable(finding) => others = others.or(Some(finding)),
            Opened::Missing => {}
        }
    }
    // Many cameras have further devices that do not capture video; they only matter if there is no other.
    if findings.is_empty() {
        findings.extend(others);
    }
    if findings.is_empty() {
        let advice = "plug one in, or load its driver; other sources do not need one";
        findings.push(Finding::warning(SUBJECT, "no camera: found no /dev/video*", advice));
    }
    findings
}

enum Opened {
    Missing,
    Unusable(Finding),
    Camera(Finding),
}

fn open(roots: &Roots, device: &Path) -> Opened {
    let shown = device.display();
    let file = match OpenOptions::new().read(true).write(true).open(roots.device(device)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Opened::Missing,
        Err(error) => {
            let advice = match error.kind() {
                io::ErrorKind::PermissionDenied => "sudo usermod -aG video USER, and log in again",
                _ => "plug the camera in again; see `dmesg` for messages of its driver",
            };
            return Opened::Unusable(Finding::problem(SUBJECT, format!("{shown}: {error}"), advice));
        }
    };
    #[cfg(target_os = "linux")]
    return match Capabilities::query(std::os::fd::AsFd::as_fd(&file)) {
        Ok(capabilities) => judge(device, &capabilities),
        Err(error) => {
            let found = format!("{shown}: not a video device ({error})");
            Opened::Unusable(Finding::problem(SUBJECT, found, "configure the device of a camera"))
        }
    };
    #[cfg(not(target_os = "linux"))]
    {
        drop(file);
        Opened::Unusable(Finding::unknown(SUBJECT, format!("{shown}: unknown, cameras are only supported on Linux")))
    }
}

#[cfg(target_os = "linux")]
fn judge(device: &Path, capabilities: &Capabilities) -> Opened {
    let Capabilities { driver, card, .. } = capabilities;
    let found = format!("{}: {card}, driver {driver}", device.display());
    if let Some((_, preset)) = RAW_SENSORS.iter().find(|(known, _)| known == driver) {
        let advice = format!("use the program that processes its frames: kind = \"process\", preset = \"{preset}\"");
        return Opened::Unusable(Finding::warning(SUBJECT, format!("{found}, delivers raw sensor data"), advice));
    }
    match capabilities.check() {
        Err(reason) => {
            let advice = "configure another device; `unet-edge doctor` without --config lists the usable ones";
            Opened::Unusable(Finding::problem(SUBJECT, format!("{found}, {reason}"), advice))
        }
        Ok(()) => Opened::Camera(Finding::ok(SUBJECT, format!("{found}, streams"))),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::super::Verdict;
    use super::*;
    use crate::doctor::tests::tree;
    use crate::frame_source::parse_word;

    fn camera(roots: &Roots, device: &str) -> Finding {
        let [finding] =
            examine(roots, OsStr::new(""), Some(parse_word(device).unwrap().requirement())).try_into().unwrap();
        finding
    }

    #[test]
    fn a_missing_camera_names_the_others() {
        let (_folder, roots) = tree(&[("dev/video1", ""), ("dev/video0", "")]);
        let finding = camera(&roots, "/dev/video7");
        assert_eq!(finding.verdict, Verdict::Problem);
        assert_eq!(finding.found, "/dev/video7: not found; found /dev/video0, /dev/video1");
        let finding = camera(&tree(&[]).1, "/dev/video0");
        assert_eq!(finding.found, "/dev/video0: not found; found no camera");
    }

    #[test]
    fn a_file_is_not_a_camera() {
        let (_folder, roots) = tree(&[("dev/video0", "")]);
        for finding in [camera(&roots, "/dev/video0"), cameras(&roots).remove(0)] {
            assert_eq!(finding.verdict, Verdict::Problem);
            assert!(finding.found.starts_with("/dev/video0: not a video device ("), "{finding:?}");
        }
        let (_folder, roots) = tree(&[]);
        assert_eq!(cameras(&roots)[0].verdict, Verdict::Warning);
    }

    #[test]
    fn only_devices_that_stream_video_are_cameras() {
        let verdict = |driver: &str, flags| {
            let (driver, card, bus) = (driver.to_owned(), "a card".to_owned(), String::new());
            match judge(Path::new("/dev/video0"), &Capabilities { driver, card, bus, flags }) {
                Opened::Camera(finding) | Opened::Unusable(finding) => (finding.verdict, finding.found),
                Opened::Missing => unreachable!("a device that answers exists"),
            }
        };
        let (capture, planes, streaming) = (0x1, 0x1000, 0x0400_0000);
        let found = |rest: &str| format!("/dev/video0: a card, driver {rest}");
        assert_eq!(verdict("vivid", capture | streaming), (Verdict::Ok, found("vivid, streams")));
        assert_eq!(verdict("uvcvideo", streaming), (Verdict::Problem, found("uvcvideo, does not capture video")));
        assert_eq!(verdict("old", capture), (Verdict::Problem, found("old, does not stream to mapped buffers")));
        let multi = found("codec, only captures multi-planar formats, which are not supported");
        assert_eq!(verdict("codec", planes | streaming), (Verdict::Problem, multi));
        let raw = found("unicam, delivers raw sensor data");
        assert_eq!(verdict("unicam", capture | streaming), (Verdict::Warning, raw));
    }

    #[test]
    fn programs_and_files_are_searched() {
        let (folder, roots) = tree(&[("bin/grabber", ""), ("clip.y4m", "")]);
        let programs = folder.path().join("bin");
        let verdict = |source: &str| {
            let source = source.replace('@', folder.path().to_str().unwrap());
            examine(&roots, programs.as_os_str(), Some(parse_word(&source).unwrap().requirement())).remove(0).verdict
        };
        for (source, expected) in [
            ("process:grabber --fast", Verdict::Ok),
            ("process:@/bin/grabber", Verdict::Ok),
            ("process:absent", Verdict::Problem),
            ("@/clip.y4m", Verdict::Ok),
            ("@/other.y4m", Verdict::Problem),
            ("-", Verdict::Ok),
            ("@", Verdict::Ok),
            ("@/none", Verdict::Problem),
            ("@/none.uerec", Verdict::Problem),
        ] {
            assert_eq!(verdict(source), expected, "{source}");
        }
    }
}
