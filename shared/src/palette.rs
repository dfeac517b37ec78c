//! Display colours of classes for datasets that have none.
//!
//! Knows class ids only.

/// RGB colours of the first classes: dark for class 0, usually the background, then distinct hues.
pub const PALETTE: [[u8; 3]; 20] = [
    [64, 64, 64],
    [230, 25, 75],
    [60, 180, 75],
    [255, 225, 25],
    [0, 130, 200],
    [245, 130, 48],
    [145, 30, 180],
    [70, 240, 240],
    [240, 50, 230],
    [210, 245, 60],
    [250, 190, 212],
    [0, 128, 128],
    [220, 190, 255],
    [170, 110, 40],
    [255, 250, 200],
    [128, 0, 0],
    [170, 255, 195],
    [128, 128, 0],
    [255, 215, 180],
    [0, 0, 128],
];

/// The colour of class `id`; beyond [`PALETTE`] its colours repeat, darker each time.
pub fn class_color(id: u8) -> [u8; 3] {
    let turn = u32::from(id) / PALETTE.len() as u32;
    PALETTE[usize::from(id) % PALETTE.len()].map(|channel| (u32::from(channel) * 4 / (4 + turn)) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_classes_share_a_colour() {
        for a in 0..=254u8 {
            for b in 0..a {
                assert_ne!(class_color(a), class_color(b), "classes {a} and {b}");
            }
        }
    }
}
