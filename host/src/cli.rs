//! The command line: one file per verb, and what they share.

mod bench_train;
mod check;
mod compare;
mod demo;
mod export;
mod models;
mod package;
mod predict;
mod quantize;
mod refusal;
mod runs;
mod series;
mod table;
mod train;
mod val;

use clap::{CommandFactory as _, FromArgMatches as _, ValueEnum as _};
use serde::Serialize;
use unet_engine::exit::Exit;
use unet_host::error::HostError;
use unet_host::operation::Operators;
use unet_host::steps::Weights;
use unet_host::steps::score::EngineChoice;

/// Trains U-Nets for semantic segmentation, and exports, quantizes and packs them for a board.
#[derive(Debug, clap::Parser)]
#[command(name = "unet-host", version, after_help = Exit::help())]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
    /// Number of compute threads (default: one per core)
    #[arg(long, global = true, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Instruction set of the compute kernels for networks on the CPU, or stock for burn's own operators, which are slower
    /// (default: the widest set that this CPU has)
    #[arg(long, global = true, value_name = "SET", value_parser = operators)]
    kernels: Option<Operators>,
}

/// The arguments of the program.
pub fn arguments() -> Arguments {
    let matches = with_negative_numbers(Arguments::command()).try_get_matches().unwrap_or_else(|error| {
        let words: Vec<String> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
        let Some(message) = refusal::explained(&error, &words) else { error.exit() };
        unet_engine::error::say(format_args!("error: {message}\n\nFor more information, try '--help'."));
        std::process::exit(error.exit_code())
    });
    Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// The command with options that take negative numbers as their values, so that the error names the option and
/// its value, not an unknown flag.
fn with_negative_numbers(command: clap::Command) -> clap::Command {
    let number = |argument: clap::Arg| {
        let takes = argument.get_action().takes_values() && !argument.is_positional();
        if takes { argument.allow_negative_numbers(true) } else { argument }
    };
    command.mut_args(number).mut_subcommands(with_negative_numbers)
}

/// Parses the name of operators.
fn operators(name: &str) -> Result<Operators, String> {
    Operators::ALL
        .into_iter()
        .find(|operators| operators.name() == name)
        .ok_or_else(|| format!("expected {}", unet_data::any_of(Operators::ALL.map(Operators::name))))
}

/// Refuses a folder that is not a run, and a path that does not exist, where a run or a package is expected.
fn refuse_neither(subject: &std::path::Path) -> Result<(), HostError> {
    let path = subject.display();
    if subject.is_dir() {
        return Err(HostError::Usage(format!("{path} is neither a run (no config.toml in it) nor a package")));
    }
    if !subject.exists() {
        return Err(HostError::Usage(format!("{path} does not exist; expected the folder of a run, or a package")));
    }
    Ok(())
}

/// Refuses what only a run has, for a package.
fn refuse_of_package(engine: Option<EngineChoice>, weights: Option<Weights>) -> Result<(), HostError> {
    let name = |value: &dyn Fn() -> Option<clap::builder::PossibleValue>| {
        value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    };
    if let Some(engine) = engine.filter(|engine| *engine != EngineChoice::Int8) {
        let engine = name(&|| engine.to_possible_value());
        return Err(HostError::Usage(format!(
            "--engine {engine} needs the folder of a run; a package is int8: leave it out"
        )));
    }
    if let Some(weights) = weights {
        let weights = name(&|| weights.to_possible_value());
        return Err(HostError::Usage(format!(
            "--weights {weights} needs the folder of a run; a package has weights of its own: leave it out"
        )));
    }
    Ok(())
}

/// The ids of all arguments of `T`.
fn ids<T: clap::Args>() -> Vec<clap::Id> {
    T::augment_args(clap::Command::new("ids")).get_arguments().map(|argument| argument.get_id().clone()).collect()
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Run the whole path on a synthetic dataset, from training to parity with the board
    Demo(demo::Demo),
    /// Show what a dataset contains and what is wrong with it
    Check(check::Check),
    /// Train a U-Net on a dataset, or resume an interrupted run
    Train(Box<train::Train>),
    /// List the networks that have names, with what each costs on this machine
    Models(models::Models),
    /// Compare runs in one table, and on one page with their curves
    Runs(runs::Runs),
    /// Evaluate a run or a package on a labelled split, and write the evaluation record
    Val(val::Val),
    /// Predict masks of new images
    Predict(predict::Predict),
    /// Write a run's network as f32 ONNX, verified against burn
    Export(export::Export),
    /// Quantize an exported run to int8, calibrated on its training images
    Quantize(quantize::Quantize),
    /// Package a quantized run as one file for a board
    Package(package::Package),
    /// Compare two evaluation records, exactly or within a drop in IoU
    Compare(compare::Compare),
    /// Time training steps on random images
    BenchTrain(bench_train::BenchTrain),
}

impl Arguments {
    /// Runs the verb and returns the exit code.
    ///
    /// # Errors
    /// If the verb fails.
    pub fn run(self) -> Result<Exit, HostError> {
        if let Some(threads) = self.threads {
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads.into())
                .build_global()
                .map_err(|error| HostError::Usage(format!("--threads {threads}: {error}")))?;
        }
        if let Some(operators) = self.kernels {
            operators.choose().map_err(|error| HostError::Usage(format!("--kernels: {error}")))?;
        }
        match self.verb {
            Verb::Demo(verb) => verb.run(),
            Verb::Check(verb) => verb.run(),
            Verb::Train(verb) => verb.run(),
            Verb::Models(verb) => verb.run(),
            Verb::Runs(verb) => verb.run(),
            Verb::Val(verb) => verb.run(),
            Verb::Predict(verb) => verb.run(),
            Verb::Export(verb) => verb.run(),
            Verb::Quantize(verb) => verb.run(),
            Verb::Package(verb) => verb.run(),
            Verb::Compare(verb) => verb.run(),
            Verb::BenchTrain(verb) => verb.run(),
        }
    }
}

/// Prints a report to standard output, as one JSON document or as text.
fn print<T: Serialize>(as_json: bool, report: &T, text: impl FnOnce() -> String) -> Result<(), HostError> {
    let text = if as_json {
        // A path that is not valid Unicode cannot be written.
        serde_json::to_string_pretty(report).map_err(|error| HostError::Usage(format!("--json: {error}")))? + "\n"
    } else {
        text()
    };
    write(&text)
}

/// Writes to standard output. A closed pipe is not an error: the reader has seen enough.
fn write(text: &str) -> Result<(), HostError> {
    use std::io::Write as _;
    let mut output = std::io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(source) if source.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(HostError::Write { path: "standard output".into(), source })
        }
        _ => Ok(()),
    }
}

/// An IoU or a loss, or `none` where no pixel counts.
fn ratio(value: Option<f64>) -> String {
    value.map_or_else(|| "none".to_owned(), |v| format!("{v:.4}"))
}
