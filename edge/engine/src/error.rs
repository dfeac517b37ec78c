//! What a failure means for a program that runs unattended. Each stage keeps its own error type; whoever decides what to
//! do next looks at the kind alone. Nothing here knows what any stage does.

/// How to go on after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The same call may succeed later: a busy disk, a camera that is away.
    Retry,
    /// This frame is lost, the next one may be fine.
    SkipFrame,
    /// Nothing that follows can succeed with this package, file or configuration.
    Fatal,
}

/// Writes a line to standard error. A closed standard error is ignored.
pub fn say(line: impl std::fmt::Display) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// An error with its chain of causes, on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some errors include their cause in their own message.
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
