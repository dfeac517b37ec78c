//! The program `unet-host`: parses the command line, runs a verb, and exits with its code.

mod cli;

use std::process::ExitCode;

use unet_engine::exit::Exit;

fn main() -> ExitCode {
    unet_host::memory::keep_freed();
    let arguments = cli::arguments();
    // A panic is a fault of the program; it gets the documented exit code instead of 101.
    let result = std::panic::catch_unwind(|| arguments.run());
    ExitCode::from(match result {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => {
            unet_engine::error::say(format_args!("error: {}", unet_engine::error::chain(&error)));
            error.exit_code()
        }
        Err(_) => Exit::Internal,
    })
}
