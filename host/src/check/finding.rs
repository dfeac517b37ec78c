//! What a check can find.

use serde::Serialize;

/// Severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// A property worth knowing that is handled.
    Info,
    /// Training runs, but its result may not be as expected.
    Warning,
    /// Files are left out, training stops, or its scores are meaningless.
    Error,
}

/// Kind of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "`Kind::title` says what each is")]
pub enum Kind {
    Layout,
    NotAFolder,
    DatasetFile,
    Unreadable,
    MissingBand,
    OtherFile,
    JpegLeftovers,
    WrongExtension,
    UnpairedImage,
    UnpairedMask,
    AmbiguousPair,
    InstanceMasks,
    PredictionFile,
    NoTraining,
    NoValidation,
    SizeMismatch,
    ExifRotation,
    SixteenBit,
    ExtraBands,
    AlphaChannel,
    GrayAsRgb,
    OneBitMask,
    ColourMask,
    PaletteMask,
    WhiteIsZeroMask,
    TransparentMask,
    MixedEncodings,
    AntiAliasedMask,
    JpegMask,
    ImageAsMask,
    EmptyMask,
    #[serde(rename = "zero_and_255_mask")]
    ZeroAnd255Mask,
    Classes,
    AllIgnored,
    MissingClass,
    SameImageInTwoSplits,
    SimilarImageInTwoSplits,
    SameImageTwice,
    SplitOverlap,
    ListFile,
}

impl Kind {
    /// Whether training stops at an error of this kind, also with `--despite-errors`. Unreadable files are leftovers or in a pair,
    /// which [`Checked::unreadable`](super::Checked::unreadable) counts.
    pub const fn stops_training(self) -> bool {
        match self {
            Self::Layout
            | Self::NotAFolder
            | Self::DatasetFile
            | Self::NoTraining
            | Self::MissingBand
            | Self::SizeMismatch
            | Self::ExifRotation
            | Self::SixteenBit
            | Self::TransparentMask
            | Self::MixedEncodings
            | Self::AntiAliasedMask
            | Self::ImageAsMask
            | Self::Classes
            | Self::AllIgnored => true,
            Self::Unreadable
            | Self::OtherFile
            | Self::JpegLeftovers
            | Self::WrongExtension
            | Self::UnpairedImage
            | Self::UnpairedMask
            | Self::AmbiguousPair
            | Self::InstanceMasks
            | Self::PredictionFile
            | Self::NoValidation
            | Self::ExtraBands
            | Self::AlphaChannel
            | Self::GrayAsRgb
            | Self::OneBitMask
            | Self::ColourMask
            | Self::PaletteMask
            | Self::WhiteIsZeroMask
            | Self::JpegMask
            | Self::EmptyMask
            | Self::ZeroAnd255Mask
            | Self::MissingClass
            | Self::SameImageInTwoSplits
            | Self::SimilarImageInTwoSplits
            | Self::SameImageTwice
            | Self::SplitOverlap
            | Self::ListFile => false,
        }
    }

    /// Its title in reports.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Layout => "layout not accepted",
            Self::NotAFolder => "not a folder",
            Self::DatasetFile => "dataset.toml is not accepted",
            Self::Unreadable => "unreadable file",
            Self::MissingBand => "bands that do not exist",
            Self::OtherFile => "other files",
            Self::JpegLeftovers => "left-over JPEG data",
            Self::WrongExtension => "wrong extension",
            Self::UnpairedImage => "image without mask",
            Self::UnpairedMask => "mask without image",
            Self::AmbiguousPair => "more than one file for a name",
            Self::InstanceMasks => "instance masks",
            Self::PredictionFile => "prediction among the images",
            Self::NoTraining => "no pair in the training split",
            Self::NoValidation => "no validation split",
            Self::SizeMismatch => "image and mask differ in size",
            Self::ExifRotation => "EXIF rotation",
            Self::SixteenBit => "samples of more than 8 bits",
            Self::ExtraBands => "bands that are not used",
            Self::AlphaChannel => "alpha channel",
            Self::GrayAsRgb => "gray images stored as RGB",
            Self::OneBitMask => "1-bit masks",
            Self::ColourMask => "colour masks",
            Self::PaletteMask => "palette masks",
            Self::WhiteIsZeroMask => "masks that call 0 white",
            Self::TransparentMask => "transparent masks",
            Self::MixedEncodings => "masks in several encodings",
            Self::AntiAliasedMask => "anti-aliased masks",
            Self::JpegMask => "JPEG-compressed masks",
            Self::ImageAsMask => "image in the place of a mask",
            Self::EmptyMask => "masks of a single value",
            Self::ZeroAnd255Mask => "0/255 masks",
            Self::Classes => "classes",
            Self::AllIgnored => "only ignored pixels",
            Self::MissingClass => "class missing from a split",
            Self::SameImageInTwoSplits => "same image in two splits",
            Self::SimilarImageInTwoSplits => "nearly the same image in two splits",
            Self::SameImageTwice => "same image twice",
            Self::SplitOverlap => "name in two splits of a list",
            Self::ListFile => "list file",
        }
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is.
    pub kind: Kind,
    /// How much it matters.
    pub severity: Severity,
    /// The files concerned, relative to the dataset's folder.
    pub files: Vec<String>,
    /// What was found, its consequence, and what to do.
    pub message: String,
}

impl Finding {
    /// A finding on these files.
    pub fn new(severity: Severity, kind: Kind, files: Vec<String>, message: impl Into<String>) -> Self {
        Self { kind, severity, files, message: message.into() }
    }
}
