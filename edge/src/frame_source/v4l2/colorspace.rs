//! What a driver states of range and matrix, by the rules of V4L2's documentation for defaults.

use unet_shared::image::{Matrix, Range};

use super::super::colour::Said;
use super::abi::{self, PixelLayout};

// `enum v4l2_colorspace`
const SMPTE170M: u32 = 1;
const REC709: u32 = 3;
const BT878: u32 = 4;
const SYSTEM_M_470: u32 = 5;
const SYSTEM_BG_470: u32 = 6;
const JPEG: u32 = 7;
const SRGB: u32 = 8;
const OPRGB: u32 = 9;
const DCI_P3: u32 = 12;

/// Range and matrix of frames with this layout. Matrices other than BT.601 and BT.709 count as not
/// stated.
pub(super) fn stated(layout: &PixelLayout) -> Said {
    // Older drivers have the colour space alone.
    let extended = layout.private == abi::PRIVATE_MAGIC;
    let (encoding, quantization) = if extended { (layout.encoding, layout.quantization) } else { (0, 0) };
    // `enum v4l2_ycbcr_encoding`
    let matrix = match (encoding, layout.colorspace) {
        // BT.601 itself, of the extended gamut, of sYCC.
        (1 | 3 | 5, _) => Some(Matrix::Bt601),
        // BT.709 itself, of the extended gamut.
        (2 | 4, _) => Some(Matrix::Bt709),
        (0, SMPTE170M | BT878 | SYSTEM_M_470 | SYSTEM_BG_470 | JPEG | SRGB | OPRGB) => Some(Matrix::Bt601),
        (0, REC709 | DCI_P3) => Some(Matrix::Bt709),
        _ => None,
    };
    // `enum v4l2_quantization`
    let range = match (quantization, layout.colorspace) {
        (1, _) | (0, JPEG) => Some(Range::Full),
        (2, _) => Some(Range::Limited),
        _ => None,
    };
    Said { range, matrix }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_driver_states_counts_before_the_colour_space() {
        let found = |private, colorspace, encoding, quantization| {
            let layout = PixelLayout { private, colorspace, encoding, quantization, ..PixelLayout::default() };
            let Said { range, matrix } = stated(&layout);
            (range, matrix)
        };
        let magic = 0xfeed_cafe;
        // Most USB cameras, then those that state BT.709, then the test camera with each of its settings.
        assert_eq!(found(magic, SRGB, 0, 0), (None, Some(Matrix::Bt601)));
        assert_eq!(found(magic, SRGB, 2, 0), (None, Some(Matrix::Bt709)));
        assert_eq!(found(magic, SRGB, 1, 1), (Some(Range::Full), Some(Matrix::Bt601)));
        assert_eq!(found(magic, REC709, 0, 2), (Some(Range::Limited), Some(Matrix::Bt709)));
        assert_eq!(found(magic, REC709, 1, 0), (None, Some(Matrix::Bt601)));
        assert_eq!(found(magic, JPEG, 0, 0), (Some(Range::Full), Some(Matrix::Bt601)));
        // BT.2020.
        assert_eq!(found(magic, 10, 6, 0), (None, None));
        assert_eq!(found(magic, REC709, 6, 0), (None, None));
        // The further members are not valid.
        assert_eq!(found(0, JPEG, 2, 2), (Some(Range::Full), Some(Matrix::Bt601)));
        assert_eq!(found(0, 0, 2, 2), (None, None));
    }
}
