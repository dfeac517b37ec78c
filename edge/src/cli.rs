//! The program's arguments and what all verbs share: exit codes, how failures are shown, where output goes. Reports go to
//! standard output, everything else to standard error. What a verb does stands in the file of its name.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use engine::EngineArguments;
use size::Size;
use unet_engine::error::chain;
use unet_engine::package::{Package, PackageError};
use unet_engine::segmenter::Int8Segmenter;

mod bench;
#[cfg(target_os = "linux")]
mod cameras;
mod device;
mod doctor;
mod engine;
mod evaluate;
mod inspect;
mod pins;
mod run;
mod size;

const EXIT_CODES: &str = "Exit codes: 0 success; 1 a check found a fault, or some images were skipped; \
2 bad usage, file or data; 3 device not available; 4 could not write; 70 internal error";

#[derive(Debug, Parser)]
#[command(name = "unet-edge", version, about = "Runs a packaged, quantized U-Net", after_help = EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Inspect(inspect::Inspect),
    Evaluate(evaluate::Evaluate),
    Run(run::Run),
    Bench(bench::Bench),
    #[cfg(target_os = "linux")]
    Cameras(cameras::Cameras),
    Doctor(doctor::Doctor),
}

/// Runs the verb that the arguments name.
pub fn main() -> Result<(), Failure> {
    match Arguments::parse().verb {
        Verb::Inspect(verb) => verb.main(),
        Verb::Evaluate(verb) => verb.main(),
        Verb::Run(verb) => verb.main(),
        Verb::Bench(verb) => verb.main(),
        #[cfg(target_os = "linux")]
        Verb::Cameras(verb) => verb.main(),
        Verb::Doctor(verb) => verb.main(),
    }
}

/// The program's exit codes other than 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// A check found a fault, or part of the work could not be done.
    Fault = 1,
    /// Bad usage, file or data. The argument parser ends with it too.
    Input = 2,
    /// A camera, pin or other source is not there, or has failed for good.
    Device = 3,
    /// A file could not be written.
    Write = 4,
    /// A defect of the program.
    Internal = 70,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Why a verb did not do what it was asked, and the exit code that says so.
#[derive(Debug)]
pub struct Failure {
    /// How the program ends.
    pub exit: Exit,
    error: Box<dyn Error>,
}

impl Failure {
    fn input(error: impl Into<Box<dyn Error>>) -> Self {
        Failure { exit: Exit::Input, error: error.into() }
    }

    fn fault(error: impl Into<Box<dyn Error>>) -> Self {
        Failure { exit: Exit::Fault, error: error.into() }
    }

    fn device(error: impl Into<Box<dyn Error>>) -> Self {
        Failure { exit: Exit::Device, error: error.into() }
    }

    fn internal(error: impl Into<Box<dyn Error>>) -> Self {
        Failure { exit: Exit::Internal, error: error.into() }
    }

    fn write(path: &Path, source: io::Error) -> Self {
        Failure { exit: Exit::Write, error: format!("could not write {}: {source}", path.display()).into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&chain(self.error.as_ref()))
    }
}

impl From<PackageError> for Failure {
    fn from(error: PackageError) -> Self {
        Failure::input(error)
    }
}

/// Reads a package and loads its model, golden vectors included.
fn load(path: &Path, engine: &EngineArguments) -> Result<(Package, Int8Segmenter), Failure> {
    let options = engine.options()?;
    let package = Package::read(path)?;
    let segmenter = Int8Segmenter::load_with(&package, &options)
        .map_err(|error| Failure::input(format!("package {} is refused: {}", path.display(), chain(&error))))?;
    Ok((package, segmenter))
}

/// Whether a file is named as an ONNX file, not as a package.
fn is_onnx(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("onnx"))
}

/// Prints a report. A reader that has seen enough and closed the pipe is no failure.
fn print(text: &str) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::write(Path::new("standard output"), error))
        }
        _ => Ok(()),
    }
}

/// Prints exactly one JSON document.
fn print_json(document: &impl serde::Serialize) -> Result<(), Failure> {
    print(&(json_text(document)? + "\n"))
}

fn json_text(document: &impl serde::Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(document).map_err(|error| Failure { exit: Exit::Internal, error: error.into() })
}

/// A ratio as the tables show it; a dash where there is none.
fn ratio_text(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.4}"))
}
