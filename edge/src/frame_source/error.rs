//! Errors of sources.

/// How to go on after an error of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The source has to be opened again, now or later: a camera that is unplugged.
    Retry,
    /// This frame is lost, the next one may be fine.
    SkipFrame,
    /// Opening it again would not help.
    Fatal,
}

/// Why there is no frame.
#[derive(Debug, thiserror::Error)]
#[error("{source_name}: {problem}")]
pub struct SourceError {
    /// Which source.
    pub source_name: String,
    /// What was expected and what was found.
    pub problem: String,
    kind: Kind,
    #[source]
    cause: Option<std::io::Error>,
}

impl SourceError {
    /// An error of the source `source_name`.
    pub fn new(
        source_name: impl Into<String>,
        kind: Kind,
        problem: impl Into<String>,
        cause: Option<std::io::Error>,
    ) -> Self {
        SourceError { source_name: source_name.into(), problem: problem.into(), kind, cause }
    }

    /// How to go on.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}
