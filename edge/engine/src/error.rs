//! How the programs report errors and messages.

pub use unet_data::chain;

/// Writes a line to standard error. A closed standard error is ignored.
pub fn say(line: impl std::fmt::Display) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{line}");
}
