//! A size on the command line: `240x176`.

use std::fmt;
use std::str::FromStr;

use unet_engine::field_of_view::FieldOfView;

/// Width and height of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Pixels per row.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

impl Size {
    /// Why a network cannot run at this size, if it is because of the multiples that the network needs.
    pub fn misfit(self, network: Option<FieldOfView>) -> Option<String> {
        let multiple = network?.multiple as usize;
        if self.width.is_multiple_of(multiple) && self.height.is_multiple_of(multiple) {
            return None;
        }
        let nearest = |side: usize| ((side + multiple / 2) / multiple).max(1) * multiple;
        let nearest = Size { width: nearest(self.width), height: nearest(self.height) };
        Some(format!(
            "--size {self}: expected a width and height that are multiples of {multiple}, as this network needs; the nearest size is \
             {nearest}"
        ))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
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
    fn a_size_that_does_not_fit_a_network_has_a_nearest_one() {
        let misfit = |width, height| Size { width, height }.misfit(Some(FieldOfView { radius: 9, multiple: 4 }));
        let expected = "--size 34x1: expected a width and height that are multiples of 4, as this network needs; the nearest size \
                        is 36x4";
        assert_eq!(misfit(34, 1).as_deref(), Some(expected));
        assert_eq!(misfit(32, 36), None);
        assert_eq!(Size { width: 33, height: 33 }.misfit(None), None);
    }

    #[test]
    fn width_comes_first() {
        assert_eq!("240x176".parse(), Ok(Size { width: 240, height: 176 }));
        for wrong in ["", "240", "x", "240x", "0x5", "240x176x3", "99999x1", "-1x1"] {
            let error = wrong.parse::<Size>().unwrap_err();
            assert!(error.starts_with("expected WxH of 1 to "), "{wrong}: {error}");
        }
    }
}
