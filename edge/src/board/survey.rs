//! The GPIO chips and lines of a system, and looking up a line.

use std::path::PathBuf;

use super::{BoardError, LineAddress, LineId};

/// A GPIO chip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChipInfo {
    /// Its device file.
    pub path: PathBuf,
    /// Its label.
    pub label: String,
    /// Its lines, indexed by offset.
    pub lines: Vec<LineInfo>,
}

/// A GPIO line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LineInfo {
    /// Name of the line; may be empty.
    pub name: String,
    /// Its user, if it is in use; the name may be empty.
    pub user: Option<String>,
}

/// A line that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<'a> {
    /// The chip.
    pub chip: &'a ChipInfo,
    /// Offset of the line.
    pub offset: u32,
    /// The line.
    pub line: &'a LineInfo,
}

impl Located<'_> {
    /// Refuses a line that is in use.
    ///
    /// # Errors
    ///
    /// [`BoardError::Busy`], with its user.
    pub fn check_free(&self) -> Result<(), BoardError> {
        match &self.line.user {
            None => Ok(()),
            Some(consumer) => Err(BoardError::Busy {
                chip: self.chip.label.clone(),
                offset: self.offset,
                name: self.line.name.clone(),
                consumer: consumer.clone(),
            }),
        }
    }
}

/// Finds a line among the chips of a system.
///
/// # Errors
///
/// If there is no such chip, no such line, or more than one.
pub fn locate<'a>(chips: &'a [ChipInfo], address: &LineAddress) -> Result<Located<'a>, BoardError> {
    let matches = |chip: &&ChipInfo| address.chips.is_empty() || address.chips.contains(&chip.label);
    let candidates: Vec<&ChipInfo> = chips.iter().filter(matches).collect();
    if candidates.is_empty() {
        let found = chips.iter().map(|chip| chip.label.clone()).collect();
        return Err(BoardError::Chip { address: address.clone(), found });
    }
    let found: Vec<Located<'_>> = candidates
        .iter()
        .flat_map(|chip| (0..).zip(&chip.lines).map(move |(offset, line)| Located { chip, offset, line }))
        .filter(|located| match &address.line {
            LineId::Offset(offset) => located.offset == *offset,
            LineId::Name(name) => located.line.name == *name,
        })
        .collect();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => {
            let lines = if let [chip] = candidates.as_slice() { u32::try_from(chip.lines.len()).ok() } else { None };
            Err(BoardError::Line { address: address.clone(), lines })
        }
        several => Err(BoardError::Ambiguous { address: address.clone(), found: several.len() }),
    }
}
