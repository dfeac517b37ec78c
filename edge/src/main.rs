//! The program of the board. Parses its arguments, runs one verb, and ends with a documented exit code.

use std::process::ExitCode;

mod cli;

fn main() -> ExitCode {
    match std::panic::catch_unwind(cli::main) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) => {
            unet_engine::error::say(format_args!("error: {failure}"));
            failure.exit.into()
        }
        // The panic has been printed where it happened.
        Err(_) => cli::Exit::Internal.into(),
    }
}
