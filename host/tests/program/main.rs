//! The program on files: its output, the files that it writes, and its exit codes.

mod bench_train;
mod contact_sheet;
mod data;
mod demo;
mod fold_upsample;
mod judging;
mod labels;
mod memory;
mod models;
mod pixels;
mod refusals;
mod resume;
mod series;
mod tensorboard;
mod threads;
mod tiles;
mod whole_path;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use unet_host::dataset::synthetic::{SyntheticConfig, generate};

/// A command that runs the program without a terminal.
fn host() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unet-host"));
    command.stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    host().args(arguments).output().unwrap()
}

/// Runs the program, expects `code`, and returns standard output and standard error.
fn expect(code: i32, arguments: &[&str]) -> (String, String) {
    let output = run(arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\nstdout: {out}\nstderr: {err}");
    assert!(!err.contains("panicked"), "{arguments:?} panicked: {err}");
    (out, err)
}

/// A synthetic dataset of 64x64 images.
fn synthetic(folder: &Path, train: usize, val: usize) -> PathBuf {
    let data = folder.join("data");
    generate(&data, &SyntheticConfig { seed: 5, train, val, width: 64, height: 64 }).unwrap();
    data
}

fn text(path: &Path) -> &str {
    path.to_str().expect("paths of tests are valid Unicode")
}

fn parse(out: &str) -> serde_json::Value {
    serde_json::from_str(out).unwrap_or_else(|error| panic!("expected one JSON document ({error}): {out}"))
}
