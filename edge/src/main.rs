//! The program of the board. Parses its arguments, runs one verb, and exits with a documented code.

use std::process::ExitCode;

mod cli;

fn main() -> ExitCode {
    match std::panic::catch_unwind(cli::main) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) => {
            unet_engine::error::say(format_args!("error: {failure}"));
            failure.exit.into()
        }
        // The panic was printed where it happened.
        Err(_) => cli::Exit::Internal.into(),
    }
}
