//! `[board]`

use super::pin::{self, InputConfig, OutputConfig};
use crate::board::BoardName;
use crate::section::Section;

/// The board and the pins that no rule uses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BoardConfig {
    /// Which board.
    pub name: BoardName,
    /// The status LED.
    pub status_led: Option<OutputConfig>,
    /// What requests frames; without a trigger every frame is processed.
    pub trigger: Option<InputConfig>,
}

pub(super) fn read(section: Option<Section<'_, '_>>) -> BoardConfig {
    let Some(mut section) = section else { return BoardConfig::default() };
    let name = section.choice("name", &BoardName::ALL.map(|board| (board.name(), board)));
    // Pins of an unknown board cannot be checked.
    let Some(name) = name.or((!section.has("name")).then(BoardName::default)) else {
        let _ = (section.section_or_text("status_led"), section.section_or_text("trigger"));
        section.finish();
        return BoardConfig::default();
    };
    let status_led = pin::output(&mut section, "status_led", name);
    let trigger = pin::trigger(&mut section, name);
    section.finish();
    BoardConfig { name, status_led, trigger }
}
