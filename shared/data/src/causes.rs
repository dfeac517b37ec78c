//! Errors in one line.

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
    // The system's words for it, with a number that says nothing to most people.
    let missing = std::io::Error::from_raw_os_error(MISSING).to_string();
    text.replace(&missing, "file or folder does not exist")
}

/// The number of the system's error for a path that does not exist: ENOENT, and ERROR_FILE_NOT_FOUND on Windows.
const MISSING: i32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_exist_is_said_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let error = std::fs::read(folder.path().join("nowhere")).unwrap_err();
        assert_eq!(chain(&error), "file or folder does not exist");
        let error = crate::Dataset::open(&folder.path().join("nowhere"), &crate::OpenOptions::default()).unwrap_err();
        assert!(!chain(&error).contains("os error"), "{error}");
    }
}
