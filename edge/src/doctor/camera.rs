//! Where frames come from: cameras of the kernel, programs, files.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

use super::Finding;
use crate::frame_source::SourceSpec;
use unet_engine::machine::Roots;
use unet_engine::machine::roots::entries;

const SUBJECT: &str = "source";

/// Drivers of sensors whose pixels need a program to become pictures, with that program's preset.
const RAW_SENSORS: [(&str, &str); 6] = [
    ("unicam", "rpicam-vid"),
    ("rp1-cfe", "rpicam-vid"),
    ("bcm2835-isp", "rpicam-vid"),
    ("pispbe", "rpicam-vid"),
    ("tegra-video", "gstreamer-jetson"),
    ("tegra-camrtc-ca", "gstreamer-jetson"),
];

pub(super) fn look(roots: &Roots, programs: &OsStr, source: Option<&SourceSpec>) -> Vec<Finding> {
    let finding = match source {
        None => return cameras(roots),
        Some(SourceSpec::V4l2(spec)) => camera(roots, &spec.device),
        Some(SourceSpec::Process(spec)) => program(programs, spec.command.first().map_or("", String::as_str)),
        Some(SourceSpec::Y4m(spec)) if spec.path.as_os_str() == "-" => Finding::ok(SUBJECT, "standard input"),
        Some(SourceSpec::Y4m(spec)) => file(&spec.path),
        Some(SourceSpec::Files(spec)) => file(&spec.path),
        Some(SourceSpec::Recording(spec)) => file(&spec.path),
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
            let advice = "put its path right; a relative one begins where the program is started";
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
                _ => "install it, or give its path",
            };
            Finding::problem(SUBJECT, format!("program {name}: not found"), advice)
        }
    }
}

/// The configured camera.
fn camera(roots: &Roots, device: &Path) -> Finding {
    match open(roots, device) {
        Opened::Absent => {
            let others: Vec<_> = entries(&roots.dev, "video")
                .iter()
                .map(|path| Path::new("/dev").join(path.file_name().unwrap_or_default()).display().to_string())
                .collect();
            let there = if others.is_empty() { "no camera at all".to_owned() } else { others.join(", ") };
            let advice = "plug the camera in, or load its driver, or name another";
            Finding::problem(SUBJECT, format!("{}: not there; found {there}", device.display()), advice)
        }
        Opened::Other(finding) | Opened::Capture(finding) => finding,
    }
}

/// Those that there are, where none is configured.
fn cameras(roots: &Roots) -> Vec<Finding> {
    let devices = entries(&roots.dev, "video");
    let mut findings = Vec::new();
    let mut others = None;
    for path in &devices {
        let device = Path::new("/dev").join(path.file_name().unwrap_or_default());
        match open(roots, &device) {
            Opened::Capture(finding) => findings.push(finding),
            Opened::Other(finding) => others = others.or(Some(finding)),
            Opened::Absent => {}
        }
    }
    // A camera has further device files that give no pictures; they matter only where no other gives any.
    if findings.is_empty() {
        findings.extend(others);
    }
    if findings.is_empty() {
        let advice = "plug one in, or load its driver; other sources need none";
        findings.push(Finding::warning(SUBJECT, "no camera: found no /dev/video*", advice));
    }
    findings
}

enum Opened {
    Absent,
    /// Cannot be used, and why.
    Other(Finding),
    Capture(Finding),
}

fn open(roots: &Roots, device: &Path) -> Opened {
    let shown = device.display();
    let file = match OpenOptions::new().read(true).write(true).open(roots.device(device)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Opened::Absent,
        Err(error) => {
            let advice = match error.kind() {
                io::ErrorKind::PermissionDenied => "sudo usermod -aG video USER, and log in again",
                _ => "plug the camera in anew; `dmesg` tells what its driver says",
            };
            return Opened::Other(Finding::problem(SUBJECT, format!("{shown}: {error}"), advice));
        }
    };
    #[cfg(target_os = "linux")]
    return match super::capability::query(&file) {
        Ok(capability) => judge(device, &capability),
        Err(error) => {
            let found = format!("{shown}: no video device ({error})");
            Opened::Other(Finding::problem(SUBJECT, found, "name a camera's device"))
        }
    };
    #[cfg(not(target_os = "linux"))]
    {
        drop(file);
        Opened::Other(Finding::unknown(SUBJECT, format!("{shown}: unknown here: cameras are asked on Linux alone")))
    }
}

#[cfg(target_os = "linux")]
fn judge(device: &Path, capability: &super::capability::Capability) -> Opened {
    use super::capability::{CAPTURE, CAPTURE_PLANES, STREAMING};
    let super::capability::Capability { driver, card, flags } = capability;
    let found = format!("{}: {card}, driver {driver}", device.display());
    if let Some((_, preset)) = RAW_SENSORS.iter().find(|(known, _)| known == driver) {
        let advice = format!("use the program that makes pictures of it: kind = \"process\", preset = \"{preset}\"");
        return Opened::Other(Finding::warning(SUBJECT, format!("{found}, gives a sensor's raw pixels"), advice));
    }
    let missing = if flags & CAPTURE == 0 && flags & CAPTURE_PLANES != 0 {
        Some("gives pictures in several planes alone")
    } else if flags & CAPTURE == 0 {
        Some("gives no pictures")
    } else if flags & STREAMING == 0 {
        Some("does not stream")
    } else {
        None
    };
    match missing {
        Some(missing) => {
            let advice = "name another device; `unet-edge doctor` without --config lists those that can be used";
            Opened::Other(Finding::problem(SUBJECT, format!("{found}, {missing}"), advice))
        }
        None => Opened::Capture(Finding::ok(SUBJECT, format!("{found}, streams"))),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::super::Verdict;
    use super::super::capability::{CAPTURE, CAPTURE_PLANES, Capability, STREAMING};
    use super::*;
    use crate::doctor::tests::tree;

    fn camera(roots: &Roots, device: &str) -> Finding {
        let [finding] = look(roots, OsStr::new(""), Some(&SourceSpec::parse(device).unwrap())).try_into().unwrap();
        finding
    }

    #[test]
    fn a_camera_that_is_not_there_names_the_others() {
        let (_folder, roots) = tree(&[("dev/video1", ""), ("dev/video0", "")]);
        let finding = camera(&roots, "/dev/video7");
        assert_eq!(finding.verdict, Verdict::Problem);
        assert_eq!(finding.found, "/dev/video7: not there; found /dev/video0, /dev/video1");
        let finding = camera(&tree(&[]).1, "/dev/video0");
        assert_eq!(finding.found, "/dev/video0: not there; found no camera at all");
    }

    #[test]
    fn a_file_is_no_camera() {
        let (_folder, roots) = tree(&[("dev/video0", "")]);
        for finding in [camera(&roots, "/dev/video0"), cameras(&roots).remove(0)] {
            assert_eq!(finding.verdict, Verdict::Problem);
            assert!(finding.found.starts_with("/dev/video0: no video device ("), "{finding:?}");
        }
        let (_folder, roots) = tree(&[]);
        assert_eq!(cameras(&roots)[0].verdict, Verdict::Warning);
    }

    #[test]
    fn only_what_streams_pictures_is_a_camera() {
        let verdict = |driver: &str, flags| {
            let capability = Capability { driver: driver.to_owned(), card: "a card".to_owned(), flags };
            match judge(Path::new("/dev/video0"), &capability) {
                Opened::Capture(finding) | Opened::Other(finding) => (finding.verdict, finding.found),
                Opened::Absent => unreachable!("a device that answers is there"),
            }
        };
        let found = |rest: &str| format!("/dev/video0: a card, driver {rest}");
        assert_eq!(verdict("vivid", CAPTURE | STREAMING), (Verdict::Ok, found("vivid, streams")));
        assert_eq!(verdict("uvcvideo", STREAMING), (Verdict::Problem, found("uvcvideo, gives no pictures")));
        assert_eq!(verdict("old", CAPTURE), (Verdict::Problem, found("old, does not stream")));
        let planes = found("codec, gives pictures in several planes alone");
        assert_eq!(verdict("codec", CAPTURE_PLANES | STREAMING), (Verdict::Problem, planes));
        let raw = found("unicam, gives a sensor's raw pixels");
        assert_eq!(verdict("unicam", CAPTURE | STREAMING), (Verdict::Warning, raw));
    }

    #[test]
    fn programs_and_files_are_looked_for() {
        let (folder, roots) = tree(&[("bin/grabber", ""), ("clip.y4m", "")]);
        let programs = folder.path().join("bin");
        let verdict = |source: &str| {
            let source = source.replace('@', folder.path().to_str().unwrap());
            look(&roots, programs.as_os_str(), Some(&SourceSpec::parse(&source).unwrap())).remove(0).verdict
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
