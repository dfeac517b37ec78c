//! Proves that `unet-shared` needs neither std nor an allocator: a program without them links with it and runs. If the
//! crate uses std, the same build fails.

use crate::repository::{copy_folder, root};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// A copy of `shared`, the proof, and the workspace files that they need.
struct Copy {
    folder: TempDir,
}

impl Copy {
    fn new() -> Copy {
        let copy = Copy { folder: tempfile::tempdir().unwrap() };
        let (from, to) = (root(), copy.folder.path());
        copy_folder(&from.join("shared"), &to.join("shared"));
        copy_folder(&from.join("tests/no_std_proof"), &copy.proof());
        // The locked versions are available without a network.
        fs::copy(from.join("Cargo.lock"), copy.proof().join("Cargo.lock")).unwrap();
        let manifest = fs::read_to_string(from.join("Cargo.toml")).unwrap();
        let mut manifest: toml::Table = manifest.parse().unwrap();
        manifest["workspace"]["members"] = toml::Value::from(vec!["shared"]);
        fs::write(to.join("Cargo.toml"), manifest.to_string()).unwrap();
        copy
    }

    fn proof(&self) -> PathBuf {
        self.folder.path().join("tests/no_std_proof")
    }

    /// Adds a line to the end of shared's lib.rs.
    fn add(&self, line: &str) {
        let path = self.folder.path().join("shared/src/lib.rs");
        let source = fs::read_to_string(&path).unwrap();
        fs::write(path, format!("{source}\n{line}\n")).unwrap();
    }

    fn build(&self) -> Output {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--offline", "--quiet"]).current_dir(self.proof());
        // Variables that the outer cargo sets must not affect the build of another workspace.
        for variable in ["CARGO_BUILD_TARGET", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS"] {
            cargo.env_remove(variable);
        }
        cargo.env("CARGO_TARGET_DIR", self.folder.path().join("built")).output().unwrap()
    }

    fn program(&self) -> PathBuf {
        self.folder.path().join("built/debug/no-std-proof")
    }
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Builds with `line` added to shared, and expects the compiler error `error`.
fn check_refused(line: &str, error: &str) {
    let copy = Copy::new();
    copy.add(line);
    let output = copy.build();
    assert!(!output.status.success(), "the proof still builds with `{line}` in shared");
    let said = words(&output);
    assert!(said.contains(error) && said.contains("`std`"), "expected {error} about `std`, found:\n{said}");
}

#[test]
fn shared_links_and_runs_without_std() {
    let copy = Copy::new();
    let output = copy.build();
    assert!(output.status.success(), "{}", words(&output));
    let program = copy.program();
    assert!(!names_an_interpreter(&program), "the program is linked to a dynamic loader");
    let status = Command::new(program).status().unwrap();
    assert_eq!(status.code(), Some(0), "1: a number differs, 2: it panicked");
}

/// Whether the ELF file requests a dynamic loader, as programs linked to a shared C library do.
fn names_an_interpreter(program: &Path) -> bool {
    let bytes = fs::read(program).unwrap();
    bytes.windows(8).any(|w| w == b"ld-linux")
}

#[test]
fn using_std_in_shared_breaks_the_proof() {
    check_refused("use std::vec::Vec;", "E0433");
}

#[test]
fn linking_std_in_shared_breaks_the_proof() {
    check_refused("extern crate std;", "E0152");
}
