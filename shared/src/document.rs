//! Reads versioned JSON documents: the version first, then the rest.
//!
//! So a document of a newer format is not mistaken for a broken one. Knows neither manifests nor records.

use alloc::string::String;
use core::fmt;

/// Why a document cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DocumentError {
    /// The document has another version of its format.
    Version {
        /// The kind of document: `manifest` or `evaluation record`.
        document: &'static str,
        /// The version that this code reads.
        expected: u32,
        /// The version that the text states.
        found: u32,
    },
    /// The text is not a JSON document of the format.
    Format {
        /// The parser's message.
        message: String,
    },
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version { document, expected, found } => {
                write!(f, "{document} version: expected {expected}, found {found}")
            }
            Self::Format { message } => f.write_str(message),
        }
    }
}

impl core::error::Error for DocumentError {}

/// Reads `bytes` as a document whose field `version` must be `expected`.
#[cfg(feature = "std")]
pub(crate) fn parse_versioned<T: serde::de::DeserializeOwned>(
    document: &'static str,
    expected: u32,
    bytes: &[u8],
) -> Result<T, DocumentError> {
    use alloc::string::ToString;

    #[derive(serde::Deserialize)]
    struct VersionOnly {
        version: u32,
    }

    let format = |error: serde_json::Error| DocumentError::Format { message: error.to_string() };
    let VersionOnly { version: found } = serde_json::from_slice(bytes).map_err(format)?;
    if found != expected {
        return Err(DocumentError::Version { document, expected, found });
    }
    serde_json::from_slice(bytes).map_err(format)
}
