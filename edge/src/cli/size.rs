//! A size on the command line: `240x176`.

use std::str::FromStr;

/// Width and height of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Pixels per row.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let side = |text: &str| text.parse().ok().filter(|side| (1..=SIDE_MAX).contains(side));
        let sides = text.split_once('x').and_then(|(width, height)| Some((side(width)?, side(height)?)));
        let (width, height) = sides.ok_or_else(|| format!("expected WxH of 1 to {SIDE_MAX}, such as 240x176"))?;
        Ok(Size { width, height })
    }
}

const SIDE_MAX: usize = unet_shared::image::SIDE_MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn width_comes_first() {
        assert_eq!("240x176".parse(), Ok(Size { width: 240, height: 176 }));
        for wrong in ["", "240", "x", "240x", "0x5", "240x176x3", "99999x1", "-1x1"] {
            let error = wrong.parse::<Size>().unwrap_err();
            assert!(error.starts_with("expected WxH of 1 to "), "{wrong}: {error}");
        }
    }
}
