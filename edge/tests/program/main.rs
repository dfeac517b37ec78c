//! The real binary on real files: what it prints, what it writes, and its documented exit codes.

mod bench;
#[cfg(unix)]
mod device;
mod doctor;
mod evaluate;
mod frames;
mod inspect;
mod run;
mod tiles;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use unet_shared::samples::SampleReading;
use unet_test_support::tiny_package;

/// A folder with the tiny package; each test creates its data.
struct Fixture {
    folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self::reading_as(SampleReading::PLAIN)
    }

    /// With a package whose training read image files in this way.
    fn reading_as(samples: SampleReading) -> Self {
        let fixture = Fixture { folder: tempfile::tempdir().unwrap() };
        let (mut manifest, members) = tiny_package::parts();
        manifest.preprocess.samples = samples;
        unet_engine::package::write(&fixture.package(), manifest, members).unwrap();
        fixture
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn package(&self) -> PathBuf {
        self.path("tiny.unet")
    }

    /// A 16x16 gray image: bright where `x < 8`.
    fn write_image(&self, name: &str) {
        write_png(&self.path(name), |x, _| if x < 8 { 200 } else { 10 });
    }

    /// A dataset of two validation pairs; the model gets four pixels of the second label wrong.
    fn write_dataset(&self, name: &str) -> PathBuf {
        for split in ["train", "val"] {
            for (stem, wrong) in [("a", 0), ("b", 4)] {
                self.write_image(&format!("{name}/{split}/images/{stem}.png"));
                let label = self.path(&format!("{name}/{split}/masks/{stem}.png"));
                write_png(&label, |x, y| if x < 8 && !(x == 0 && y < wrong) { 226 } else { 29 });
            }
        }
        self.path(name)
    }
}

fn write_png(path: &Path, value: impl Fn(u32, u32) -> u8) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    image::GrayImage::from_fn(16, 16, |x, y| image::Luma([value(x, y)])).save(path).unwrap();
}

fn unet_edge(arguments: &[&str], paths: &[&Path]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unet-edge"));
    let mut paths = paths.iter();
    for argument in arguments {
        // `@` stands for the next path.
        match *argument {
            "@" => command.arg(paths.next().expect("a path for each @")),
            text => command.arg(text),
        };
    }
    command.output().unwrap()
}

#[track_caller]
fn check_exit(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}{}", stdout(output), stderr(output));
}

/// A failure prints one message on standard error that contains all of `parts`, and never panics.
#[track_caller]
fn check_failure(output: &Output, code: i32, parts: &[&str]) {
    check_exit(output, code);
    let stderr = stderr(output);
    assert!(!stderr.contains("panicked"), "{stderr}");
    let start = stderr.find("error: ").expect("a message");
    let message = &stderr[start..];
    assert_eq!(message.matches("error: ").count(), 1, "{stderr}");
    for part in parts {
        assert!(message.contains(part), "{part} in {message}");
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn wrong_usage_exits_with_2_and_help_with_0() {
    check_exit(&unet_edge(&[], &[]), 2);
    check_exit(&unet_edge(&["frobnicate"], &[]), 2);
    check_exit(&unet_edge(&["bench", "a.unet", "--frames", "0"], &[]), 2);
    let help = unet_edge(&["--help"], &[]);
    check_exit(&help, 0);
    assert!(stdout(&help).contains("Exit codes: 0 success"));
}
