//! What chips and lines a system has, and where among them a line is.

use std::path::PathBuf;

use super::{BoardError, LineAddress, LineId};

/// A chip as the kernel describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChipInfo {
    /// Its device file.
    pub path: PathBuf,
    /// What it is called.
    pub label: String,
    /// Its lines, by offset.
    pub lines: Vec<LineInfo>,
}

/// A line as the kernel describes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LineInfo {
    /// The kernel's name of it; may be empty.
    pub name: String,
    /// Who uses it, where anybody does; may be empty even then.
    pub user: Option<String>,
}

/// A line that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<'a> {
    /// The chip.
    pub chip: &'a ChipInfo,
    /// The line's offset there.
    pub offset: u32,
    /// The line.
    pub line: &'a LineInfo,
}

impl Located<'_> {
    /// Refuses a line that somebody uses.
    ///
    /// # Errors
    ///
    /// [`BoardError::Busy`], with who it is.
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
/// When there is no such chip, no such line, or more than one.
pub fn locate<'a>(chips: &'a [ChipInfo], address: &LineAddress) -> Result<Located<'a>, BoardError> {
    let wanted = |chip: &&ChipInfo| address.chips.is_empty() || address.chips.contains(&chip.label);
    let candidates: Vec<&ChipInfo> = chips.iter().filter(wanted).collect();
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
