//! How luma and chroma encode colours: range, matrix, and the integer factors that follow from both.

use core::fmt;

use super::PixelFormat;

/// Which numbers stand for black and white.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Range {
    /// Luma from 16 to 235, chroma from 16 to 240.
    Limited,
    /// All of 0 to 255, as in JPEG.
    Full,
}

impl Range {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Limited, Self::Full];

    /// The name in configurations.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Limited => "limited",
            Self::Full => "full",
        }
    }
}

/// How much of each colour luma contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Matrix {
    /// ITU-R BT.601: standard definition, JPEG and most USB cameras.
    Bt601,
    /// ITU-R BT.709: high definition.
    Bt709,
}

impl Matrix {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Bt601, Self::Bt709];

    /// The name in configurations.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bt601 => "bt601",
            Self::Bt709 => "bt709",
        }
    }
}

/// Range and matrix of an image with luma. An image without chroma has only a range; RGB has neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ColourEncoding {
    /// The range.
    pub range: Range,
    /// The matrix.
    pub matrix: Matrix,
}

impl ColourEncoding {
    /// As JPEG files have it.
    pub const JPEG: Self = Self { range: Range::Full, matrix: Matrix::Bt601 };

    /// What is assumed of a format where nothing states it: limited range and BT.601; full range of gray.
    #[must_use]
    pub const fn assumed(format: PixelFormat) -> Self {
        match format {
            PixelFormat::Gray8 => Self::JPEG,
            _ => Self { range: Range::Limited, matrix: Matrix::Bt601 },
        }
    }
}

impl fmt::Display for ColourEncoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} range {}", self.range.name(), self.matrix.name())
    }
}

/// Factors in 256ths. With the chroma U and V less 128, `(luma * (Y - black) + first * U + second * V + 128) >> 8` is a
/// colour, by the two factors of that colour.
#[derive(Debug)]
pub(crate) struct Factors {
    pub(crate) black: i16,
    pub(crate) luma: i16,
    pub(crate) red: [i16; 2],
    pub(crate) green: [i16; 2],
    pub(crate) blue: [i16; 2],
    /// Gray means BT.601's weights of red, green and blue, which is luma alone only with that matrix.
    pub(crate) gray: [i16; 2],
}

impl Factors {
    /// The factors of each encoding, in the order of `with_factors`.
    pub(crate) const ALL: [Self; 4] = [
        Self { black: 16, luma: 298, red: [0, 409], green: [-100, -208], blue: [516, 0], gray: [0, 0] },
        Self { black: 16, luma: 298, red: [0, 459], green: [-55, -136], blue: [541, 0], gray: [30, 57] },
        Self { black: 0, luma: 256, red: [0, 359], green: [-88, -183], blue: [454, 0], gray: [0, 0] },
        Self { black: 0, luma: 256, red: [0, 403], green: [-48, -120], blue: [475, 0], gray: [26, 50] },
    ];
}

/// The multiple of 256 next to a factor, in 256ths of it, which the vector code adds after the shift.
#[cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64")),
    allow(dead_code, reason = "no instruction set of this architecture converts rows")
)]
pub(crate) const fn whole(factor: i16) -> i16 {
    (factor + 128) >> 8
}

/// What the multiple of 256 leaves of a factor.
pub(crate) const fn small(factor: i16) -> i16 {
    factor - 256 * ((factor + 128) >> 8)
}

// The vector code keeps the sums of small factors in 16 bits.
const _: () = {
    let mut at = 0;
    while at < Factors::ALL.len() {
        let Factors { black, luma, red, green, blue, gray } = &Factors::ALL[at];
        let colours = [red, green, blue, gray];
        let mut colour = 0;
        while colour < colours.len() {
            let [first, second] = *colours[colour];
            let chroma = 128 * (small(first).unsigned_abs() as i32 + small(second).unsigned_abs() as i32);
            let (luma, black) = (small(*luma) as i32, *black as i32);
            assert!(luma >= 0 && luma * (255 - black) + chroma + 128 <= i16::MAX as i32);
            assert!(-luma * black - chroma >= i16::MIN as i32);
            colour += 1;
        }
        at += 1;
    }
};

/// Calls a function with the place in [`Factors::ALL`] as its first generic argument, so that the loop of each encoding is
/// compiled with constant factors: `with_factors!(encoding, function, (arguments))`.
macro_rules! with_factors {
    ($encoding:expr, $function:ident, $arguments:tt) => {{
        use $crate::image::{ColourEncoding, Matrix, Range};
        match $encoding {
            ColourEncoding { range: Range::Limited, matrix: Matrix::Bt601 } => $function::<0, _> $arguments,
            ColourEncoding { range: Range::Limited, matrix: Matrix::Bt709 } => $function::<1, _> $arguments,
            ColourEncoding { range: Range::Full, matrix: Matrix::Bt601 } => $function::<2, _> $arguments,
            ColourEncoding { range: Range::Full, matrix: Matrix::Bt709 } => $function::<3, _> $arguments,
        }
    }};
}

pub(crate) use with_factors;
