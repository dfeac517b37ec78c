//! Range and matrix of a source's frames: configured, stated by the source, or assumed.

use unet_shared::image::{ColourEncoding, Matrix, PixelFormat, Range};

use super::Encoding;
use crate::section::Section;

/// Why frames of JPEG have no keys for range and matrix.
pub(super) const JPEG_COLOUR: &str = "JPEG frames are always full range bt601";

/// Range and matrix, as far as somebody says them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Said {
    pub(super) range: Option<Range>,
    pub(super) matrix: Option<Matrix>,
}

impl Said {
    /// Both are known.
    pub(super) const fn both(encoding: ColourEncoding) -> Self {
        Said { range: Some(encoding.range), matrix: Some(encoding.matrix) }
    }

    /// The keys `range` and `matrix` of a section.
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let range = section.choice("range", &Range::ALL.map(|range| (range.name(), range)));
        let matrix = section.choice("matrix", &Matrix::ALL.map(|matrix| (matrix.name(), matrix)));
        Said { range, matrix }
    }

    /// Reports both keys.
    pub(super) fn refuse(section: &Section<'_, '_>, reason: &str) {
        for key in ["range", "matrix"] {
            section.refuse_with(key, reason);
        }
    }

    /// Reports the keys that a format does not have.
    pub(super) fn check(section: &Section<'_, '_>, format: PixelFormat) {
        if !format.has_luma() {
            section.refuse_with("range", &format!("the format {format} has no luma, hence no range"));
        }
        if !format.has_chroma() {
            section.refuse_with("matrix", &format!("the format {format} has no chroma, hence no matrix"));
        }
    }
}

/// Who says what of the frames of a source. The configuration counts more than the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Colour {
    pub(super) configured: Said,
    pub(super) stated: Said,
}

impl Colour {
    /// What is used for frames of a format.
    pub(super) fn encoding(&self, format: PixelFormat) -> ColourEncoding {
        let assumed = ColourEncoding::assumed(format);
        ColourEncoding {
            range: self.configured.range.or(self.stated.range).unwrap_or(assumed.range),
            matrix: self.configured.matrix.or(self.stated.matrix).unwrap_or(assumed.matrix),
        }
    }

    /// What is used for frames of any encoding.
    pub(super) fn of(&self, encoding: Encoding) -> ColourEncoding {
        match encoding {
            Encoding::Pixels(format) => self.encoding(format),
            Encoding::Jpeg => ColourEncoding::JPEG,
        }
    }

    /// What is used and who says so, to be appended to a source's description: `, range full (stated), matrix bt601 (assumed)`.
    pub(super) fn describe(&self, encoding: Encoding) -> String {
        let Encoding::Pixels(format) = encoding else { return String::new() };
        let ColourEncoding { range, matrix } = self.encoding(format);
        let [configured, stated] = [self.configured, self.stated];
        let names = |said: Said| (said.range.map(Range::name), said.matrix.map(Matrix::name));
        let ([configured, stated], mut text) = ([names(configured), names(stated)], String::new());
        if format.has_luma() {
            text += &format!(", range {} ({})", range.name(), origin(configured.0, stated.0));
        }
        if format.has_chroma() {
            text += &format!(", matrix {} ({})", matrix.name(), origin(configured.1, stated.1));
        }
        text
    }
}

fn origin(configured: Option<&str>, stated: Option<&str>) -> String {
    match (configured, stated) {
        (Some(configured), Some(stated)) if configured != stated => format!("configured; the source states {stated}"),
        (Some(_), _) => "configured".to_owned(),
        (None, Some(_)) => "stated".to_owned(),
        (None, None) => "assumed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::section::tests::{problems, read_ok};

    #[test]
    fn the_configuration_counts_more_than_the_source() {
        let full = Said { range: Some(Range::Full), matrix: None };
        let limited = Said { range: Some(Range::Limited), matrix: Some(Matrix::Bt709) };
        let describe = |configured, stated, format| Colour { configured, stated }.describe(Encoding::Pixels(format));
        let (nothing, yuyv) = (Said::default(), PixelFormat::Yuyv);
        assert_eq!(describe(nothing, nothing, yuyv), ", range limited (assumed), matrix bt601 (assumed)");
        assert_eq!(describe(nothing, nothing, PixelFormat::Gray8), ", range full (assumed)");
        assert_eq!(describe(nothing, full, yuyv), ", range full (stated), matrix bt601 (assumed)");
        let expected = ", range full (configured; the source states limited), matrix bt709 (stated)";
        assert_eq!(describe(full, limited, yuyv), expected);
        assert_eq!(describe(limited, limited, PixelFormat::Rgb8), "");
        let encoding = Colour { configured: full, stated: limited }.encoding(yuyv);
        assert_eq!(encoding, ColourEncoding { range: Range::Full, matrix: Matrix::Bt709 });
    }

    #[test]
    fn keys_have_two_values_each() {
        let read = |section: &mut Section<'_, '_>| Some(Said::read(section));
        let expected = Said { range: Some(Range::Full), matrix: Some(Matrix::Bt709) };
        assert_eq!(read_ok("range = 'full'\nmatrix = 'bt709'", read), expected);
        assert_eq!(
            problems("range = 'tv'\nmatrix = 'bt2020'", read),
            [
                "1: section: range = 'tv': expected limited or full",
                "2: section: matrix = 'bt2020': expected bt601 or bt709; did you mean \"bt601\"?"
            ]
        );
    }
}
