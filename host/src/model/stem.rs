//! By how much the network shrinks images before its first level.

use serde::{Deserialize, Serialize};

/// The factor by which the first layers shrink the image, and the last ones enlarge the logits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(try_from = "u8", into = "u8")]
pub enum Stem {
    /// The first level has the image's size.
    #[default]
    #[value(name = "1")]
    Full,
    /// Half the height and width, by one strided convolution.
    #[value(name = "2")]
    Half,
    /// A quarter of them, by two.
    #[value(name = "4")]
    Quarter,
}

impl Stem {
    /// How often height and width are halved.
    pub fn halvings(self) -> usize {
        match self {
            Self::Full => 0,
            Self::Half => 1,
            Self::Quarter => 2,
        }
    }

    /// Whether the network has no stem; configurations then omit the key.
    pub fn is_full(&self) -> bool {
        *self == Self::Full
    }
}

impl From<Stem> for u8 {
    fn from(stem: Stem) -> Self {
        1 << stem.halvings()
    }
}

impl TryFrom<u8> for Stem {
    type Error = String;

    fn try_from(factor: u8) -> Result<Self, String> {
        match factor {
            1 => Ok(Self::Full),
            2 => Ok(Self::Half),
            4 => Ok(Self::Quarter),
            _ => Err(format!("expected a stem of 1, 2 or 4, found {factor}")),
        }
    }
}
