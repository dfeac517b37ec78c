//! Command-line arguments and what all verbs share: exit codes, error messages, output. Reports go to standard output, everything
//! else to standard error. Each verb is in the file of its name.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use engine::EngineArguments;
use size::Size;
use tiles::TilesArgument;
use unet_engine::error::{chain, expected_number};
use unet_engine::exit::Exit;
use unet_engine::inference::InferenceError;
use unet_engine::package::{Package, PackageError};
use unet_engine::predictor::Predictor;
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
mod reload;
mod run;
mod signals;
mod size;
mod tiles;

#[derive(Debug, Parser)]
#[command(name = "unet-edge", version, about = "Runs a packaged, quantized U-Net", after_help = Exit::help())]
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

fn arguments() -> Arguments {
    let matches = with_negative_numbers(Arguments::command()).try_get_matches().unwrap_or_else(|error| {
        let words: Vec<String> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
        let message = run::conflict(&error).or_else(|| number(&error)).or_else(|| unknown(&error, &words));
        let Some(message) = message else { error.exit() };
        unet_engine::error::say(format_args!("error: {message}\n\nFor more information, try '--help'."));
        std::process::exit(error.exit_code())
    });
    Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// The text of an error's context.
fn context(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text),
        _ => None,
    }
}

/// What a number that is refused should be; `None` for any other error.
fn number(error: &clap::Error) -> Option<String> {
    let found = context(error, ContextKind::InvalidValue).filter(|_| error.kind() == ErrorKind::ValueValidation)?;
    let expected = expected_number(&error.source()?.to_string(), found)?;
    let flag = context(error, ContextKind::InvalidArg)?.split(' ').next()?;
    Some(format!("{flag}: {expected}, found {found}"))
}

/// What to do about a flag that a verb does not have; `None` for any other error, and where the parser knows a similar one.
fn unknown(error: &clap::Error, words: &[String]) -> Option<String> {
    let flag = context(error, ContextKind::InvalidArg).filter(|_| error.kind() == ErrorKind::UnknownArgument)?;
    let verb = words.first().filter(|word| !word.starts_with('-') && flag.starts_with('-'))?;
    if (flag, verb.as_str()) == ("--data", "evaluate") {
        let place = words.iter().position(|word| word.starts_with("--data"))?;
        let data = words[place].strip_prefix("--data=").or_else(|| words.get(place + 1).map(String::as_str));
        let data = data.unwrap_or("DATA");
        return Some(format!("--data: a dataset is given without a flag: unet-edge evaluate PACKAGE {data}"));
    }
    let is_similar = error.get(ContextKind::SuggestedArg).is_some();
    (!is_similar).then(|| format!("unexpected argument {flag}; `unet-edge {verb} --help` lists the arguments"))
}

/// The command with options that take negative numbers as their values, so that the error names the option and
/// its value, not an unknown flag.
fn with_negative_numbers(command: Command) -> Command {
    let number = |argument: Arg| {
        let takes = argument.get_action().takes_values() && !argument.is_positional();
        if takes { argument.allow_negative_numbers(true) } else { argument }
    };
    command.mut_args(number).mut_subcommands(with_negative_numbers)
}

/// Runs the chosen verb.
pub fn main() -> Result<(), Failure> {
    signals::survive_file_size_limit().map_err(Failure::internal)?;
    match arguments().verb {
        Verb::Inspect(verb) => verb.main(),
        Verb::Evaluate(verb) => verb.main(),
        Verb::Run(verb) => verb.main(),
        Verb::Bench(verb) => verb.main(),
        #[cfg(target_os = "linux")]
        Verb::Cameras(verb) => verb.main(),
        Verb::Doctor(verb) => verb.main(),
    }
}

/// Why a verb failed, and the exit code.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
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

    /// A model that cannot be used; most errors begin with its name, which the path then stands for.
    fn model(path: &Path, error: &InferenceError) -> Self {
        let (shown, text) = (path.display(), chain(error));
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        match text.strip_prefix(&format!("model {name}")) {
            Some(rest) => Failure::input(format!("model {shown}{rest}")),
            None => Failure::input(format!("model {shown} was rejected: {text}")),
        }
    }

    fn write(path: &Path, source: io::Error) -> Self {
        Failure { exit: Exit::Write, error: format!("failed to write {}: {source}", path.display()).into() }
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

/// Reads a package, loads its model, and runs its golden vectors.
fn load(path: &Path, engine: &EngineArguments) -> Result<(Package, Predictor<Int8Segmenter>), Failure> {
    let options = engine.options()?;
    let package = Package::read(path)?;
    let predictor = Predictor::from_package(&package, &options)
        .map_err(|error| Failure::input(format!("package {} was rejected: {}", path.display(), chain(&error))))?;
    Ok((package, predictor))
}

/// Where a relative path that does not exist was looked for; nothing about any other path.
fn where_from(path: &Path) -> String {
    if path.is_absolute() || !matches!(path.try_exists(), Ok(false)) {
        return String::new();
    }
    let folder = std::env::current_dir().map(|folder| format!(", {}", folder.display())).unwrap_or_default();
    format!("; relative paths start at the working directory{folder}")
}

/// Whether a file is named as an ONNX file, not as a package.
fn is_onnx(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("onnx"))
}

/// Prints a report. A closed pipe is not an error.
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

/// A ratio for a table; a dash if it is undefined.
fn ratio_text(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.4}"))
}
