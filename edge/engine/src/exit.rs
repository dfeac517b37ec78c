//! The exit codes of both programs, each written once.

use std::process::ExitCode;

/// How a program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything went well.
    Success = 0,
    /// A check or comparison found a fault or a difference, or some images could not be read.
    Fault = 1,
    /// Bad usage, file or data. The argument parser ends with it too.
    Input = 2,
    /// A camera, pin, backend or device is missing or failed for good.
    Device = 3,
    /// Something could not be written.
    Write = 4,
    /// A defect of the program.
    Internal = 70,
}

impl Exit {
    /// All of them, in ascending order.
    pub const ALL: [Exit; 6] = [Exit::Success, Exit::Fault, Exit::Input, Exit::Device, Exit::Write, Exit::Internal];

    /// The number that the operating system is given.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// What it means, for the help texts.
    pub fn meaning(self) -> &'static str {
        match self {
            Exit::Success => "success",
            Exit::Fault => "a check or comparison found a fault, or some images could not be read",
            Exit::Input => "bad usage, file or data",
            Exit::Device => "device or backend not available",
            Exit::Write => "write failed, or some results were lost",
            Exit::Internal => "internal error",
        }
    }

    /// One line that lists all codes.
    pub fn help() -> String {
        let codes = Exit::ALL.map(|exit| format!("{} {}", exit.code(), exit.meaning()));
        format!("Exit codes: {}", codes.join("; "))
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_that_scripts_rely_on() {
        assert_eq!(Exit::ALL.map(Exit::code), [0, 1, 2, 3, 4, 70]);
        assert!(Exit::help().starts_with("Exit codes: 0 success; 1 a check"), "{}", Exit::help());
        assert!(Exit::help().ends_with("; 70 internal error"), "{}", Exit::help());
    }
}
