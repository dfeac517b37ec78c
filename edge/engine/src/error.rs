//! How the programs report errors and messages.

pub use unet_data::chain;

/// Writes a line to standard error, in one piece, since standard error has no buffer and others may write to it or read it meanwhile. A
/// closed standard error is ignored.
pub fn say(line: impl std::fmt::Display) {
    use std::io::Write as _;
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}
