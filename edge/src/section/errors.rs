//! The errors of a configuration, each with its line.

use std::cell::RefCell;
use std::fmt;

/// One error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The line, counted from 1; 0 for the file as a whole.
    pub line: usize,
    /// The section and the key, what was expected and what was found.
    pub problem: String,
}

/// All errors of a configuration, ordered by line. Displayed one per line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    /// Name of the configuration file.
    pub file: String,
    /// At least one.
    pub errors: Vec<ConfigError>,
}

impl ConfigErrors {
    pub(crate) fn of_file(file: &str, problem: String) -> Self {
        ConfigErrors { file: file.to_owned(), errors: vec![ConfigError { line: 0, problem }] }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, ConfigError { line, problem }) in self.errors.iter().enumerate() {
            if index > 0 {
                formatter.write_str("\n")?;
            }
            formatter.write_str(&self.file)?;
            if *line > 0 {
                write!(formatter, ":{line}")?;
            }
            write!(formatter, ": {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Collects errors while a configuration is read.
#[derive(Debug)]
pub(crate) struct Errors<'t> {
    file: &'t str,
    text: &'t str,
    // Offset of each line feed.
    ends: Vec<usize>,
    found: RefCell<Vec<ConfigError>>,
}

impl<'t> Errors<'t> {
    pub(crate) fn new(file: &'t str, text: &'t str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect();
        Errors { file, text, ends, found: RefCell::default() }
    }

    /// The line of a byte offset, counted from 1.
    pub(crate) fn line(&self, offset: usize) -> usize {
        1 + self.ends.partition_point(|&end| end < offset)
    }

    /// The text of a span, cut to fit a message.
    pub(crate) fn excerpt(&self, span: std::ops::Range<usize>) -> String {
        const CHARACTERS_MAX: usize = 40;
        let text = self.text.get(span).unwrap_or_default();
        let first = text.lines().next().unwrap_or_default();
        let mut shown: String = first.chars().take(CHARACTERS_MAX).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        shown
    }

    /// Adds an error at a byte offset.
    pub(crate) fn add(&self, offset: usize, section: &str, problem: &str) {
        self.add_at_line(self.line(offset), section, problem);
    }

    pub(crate) fn add_at_line(&self, line: usize, section: &str, problem: &str) {
        let colon = if section.is_empty() { "" } else { ": " };
        // A message is one line, whatever the parser returned.
        let problem = format!("{section}{colon}{}", problem.replace('\n', "; "));
        self.found.borrow_mut().push(ConfigError { line, problem });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.borrow().is_empty()
    }

    pub(crate) fn finish(self) -> ConfigErrors {
        let mut errors = self.found.into_inner();
        errors.sort_by_key(|error| error.line);
        ConfigErrors { file: self.file.to_owned(), errors }
    }
}
