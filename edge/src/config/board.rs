//! `[board]`

use super::pin::{self, Boards, InputConfig, OutputConfig};
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

/// The board, and the boards that the pins of rules may belong to.
pub(super) fn read(section: Option<Section<'_, '_>>) -> (BoardConfig, Boards) {
    let Some(mut section) = section else { return (BoardConfig::default(), Boards::One(BoardName::default())) };
    let names = BoardName::ALL.map(|board| (board.name(), board));
    let name = section.choice("name", &names).or((!section.has("name")).then(BoardName::default));
    // While the name is wrong, mistakes in the pins are still found.
    let meant = || section.suggested("name", &names).map_or(Boards::Any, Boards::Meant);
    let boards = name.map_or_else(meant, Boards::One);
    let status_led = pin::output(&mut section, "status_led", &boards);
    let trigger = pin::trigger(&mut section, &boards);
    section.finish();
    (BoardConfig { name: name.unwrap_or_default(), status_led, trigger }, boards)
}
