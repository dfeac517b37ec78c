//! How the programs report errors and messages.

pub use unet_data::chain;

/// Writes a line to standard error, in one piece, since standard error has no buffer and others may write to it or read it meanwhile. A
/// closed standard error is ignored.
pub fn say(line: impl std::fmt::Display) {
    use std::io::Write as _;
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// What a number in an argument should be, from the words of the standard library's parsers and of clap's ranges about `found`;
/// `None` for words of others.
pub fn expected_number(cause: &str, found: &str) -> Option<String> {
    let is_negative = found.strip_prefix('-').is_some_and(|digits| digits.parse::<u64>().is_ok());
    Some(match cause {
        "invalid digit found in string" if is_negative => "expected a whole number of at least 0".to_owned(),
        "invalid digit found in string" | "cannot parse integer from empty string" => {
            "expected a whole number".to_owned()
        }
        "number too large to fit in target type" => "expected a smaller whole number".to_owned(),
        "invalid float literal" | "cannot parse float from empty string" => "expected a number".to_owned(),
        _ => {
            let (low, high) = cause.split_once(" is not in ")?.1.split_once("..=")?;
            format!("expected {low} to {high}")
        }
    })
}
