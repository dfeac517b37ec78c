//! The program of the board. Parses its arguments, runs one verb, and exits with a documented code.

use std::process::ExitCode;

use unet_engine::exit::Exit;

mod cli;

fn main() -> ExitCode {
    let exit = match std::panic::catch_unwind(cli::main) {
        Ok(Ok(())) => Exit::Success,
        Ok(Err(failure)) => {
            unet_engine::error::say(format_args!("error: {failure}"));
            failure.exit
        }
        // The panic was printed where it happened.
        Err(_) => Exit::Internal,
    };
    exit.into()
}
