//! Errors in one line.

/// An error with its chain of causes, on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Those of the TOML parser end in a line feed.
        let cause_text = cause_text.trim_end();
        // Some errors include their cause in their own message.
        if !text.ends_with(cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    // The system's words for it, with a number that says nothing to most people.
    let missing = std::io::Error::from_raw_os_error(MISSING).to_string();
    text.replace(&missing, "file or folder does not exist")
}

/// The number of the system's error for a path that does not exist: ENOENT, and ERROR_FILE_NOT_FOUND on Windows.
const MISSING: i32 = 2;

/// What is wrong with a line that is not valid TOML; `message` is the parser's.
pub fn toml_problem(line: &str, message: &str) -> String {
    let line = line.trim();
    match line.strip_suffix('=').map(str::trim_end) {
        Some(key) if !key.is_empty() => format!("{key} has no value"),
        _ => format!("`{line}` is not valid TOML: {}", message.trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_without_a_value_is_named() {
        assert_eq!(toml_problem(" x =", "string values must be quoted, expected literal string"), "x has no value");
        assert_eq!(toml_problem("[a", "unclosed table\n"), "`[a` is not valid TOML: unclosed table");
    }

    #[test]
    fn what_does_not_exist_is_said_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let error = std::fs::read(folder.path().join("nowhere")).unwrap_err();
        assert_eq!(chain(&error), "file or folder does not exist");
        let error = crate::Dataset::open(&folder.path().join("nowhere"), &crate::OpenOptions::default()).unwrap_err();
        assert!(!chain(&error).contains("os error"), "{error}");
    }
}
