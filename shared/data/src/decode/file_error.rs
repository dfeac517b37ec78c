//! Why a file cannot be decoded, with messages that say what to do.

use std::path::{Path, PathBuf};

use image::{ImageError, ImageFormat};
use unet_shared::image::SIDE_MAX;

use super::png_damage::png_damage;
use super::{DECODED_BYTES_MAX, Damage, FILE_BYTES_MAX};
use crate::counted::counted;

/// Why a file cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: std::io::Error,
    },
    /// The file is larger than [`FILE_BYTES_MAX`].
    #[error("{} has {bytes} bytes, expected at most {FILE_BYTES_MAX}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// The file is not of a supported format.
    #[error("{}: expected a PNG, JPEG, TIFF or BMP file, found {found}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What its bytes look like.
        found: &'static str,
    },
    /// The data of a JPEG file is not whole.
    #[error("{} {damage}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        damage: Damage,
    },
    /// The data of a PNG or BMP file is damaged or cut off.
    #[error("{} {how}; copy it again", path.display())]
    NotWhole {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        how: String,
    },
    /// The decoder rejects the file.
    #[error("cannot decode {}", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// The decoder's error.
        #[source]
        source: ImageError,
    },
    /// The file has fewer bands than asked for.
    #[error("{}: band {expected} is asked for (--bands), but the file has {}", path.display(), counted(*found, "band"))]
    Bands {
        /// The file.
        path: PathBuf,
        /// The highest band asked for.
        expected: u16,
        /// Bands of the file.
        found: usize,
    },
    /// The samples need a range to become bytes.
    #[error(
        "{} holds {kind} samples, which need a range: train on such images, or give the range as --range LOW,HIGH",
        path.display()
    )]
    NoRange {
        /// The file.
        path: PathBuf,
        /// What the samples are.
        kind: &'static str,
    },
    /// The file is of a kind that is not read.
    #[error(
        "{}: expected a TIFF of gray, RGB, CMYK, YCbCr or palette samples, found {found}; convert it, for instance by \
         `gdal_translate -co COMPRESS=DEFLATE IN.tif OUT.tif` or `magick IN.tif -colorspace sRGB -compress zip OUT.tif`",
        path.display()
    )]
    TiffKind {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: String,
    },
    /// The data of a TIFF file is compressed in a way that is not read.
    #[error(
        "{}: {compression} of TIFF files is not supported; convert it, for instance by `gdal_translate -co COMPRESS=DEFLATE \
         IN.tif OUT.tif` or `magick IN.tif -colorspace sRGB -compress zip OUT.tif`",
        path.display()
    )]
    TiffCompression {
        /// The file.
        path: PathBuf,
        /// The compression in words, such as `LZMA compression`.
        compression: String,
    },
    /// The data of a TIFF file is damaged.
    #[error("{} is damaged or cut off: its TIFF data cannot be read", path.display())]
    TiffData {
        /// The file.
        path: PathBuf,
    },
    /// The decoded samples would need more memory than a decoder may allocate.
    #[error(
        "{} is too large: {width}x{height}x{bands} samples need more than {} MiB of memory",
        path.display(), DECODED_BYTES_MAX >> 20
    )]
    Memory {
        /// The file.
        path: PathBuf,
        /// Its width in pixels.
        width: usize,
        /// Its height in pixels.
        height: usize,
        /// Samples of a pixel.
        bands: usize,
    },
    /// A side is too long.
    #[error("{} has {width}x{height} pixels, expected at most {SIDE_MAX} a side", path.display())]
    Size {
        /// The file.
        path: PathBuf,
        /// Its width in pixels.
        width: u32,
        /// Its height in pixels.
        height: u32,
    },
    /// The samples are of an unsupported type.
    #[error("{} holds {found} samples, expected {expected}", path.display())]
    Samples {
        /// The file.
        path: PathBuf,
        /// The supported types.
        expected: &'static str,
        /// The type found.
        found: String,
    },
    /// The samples of a label are not label values.
    #[error("mask {} has {found} expected {expected}", path.display())]
    LabelSamples {
        /// The file.
        path: PathBuf,
        /// What label values are.
        expected: &'static str,
        /// The samples, and the first that is not a label value.
        found: String,
    },
    /// A label has pixels that are not opaque, so its colours alone do not say the class.
    #[error(
        "mask {}: {percent:.2} % of its pixels are not opaque, first ({x}, {y}); transparent = VALUE in dataset.toml, such \
         as 0 or \"#000000\", says what they are", path.display()
    )]
    Alpha {
        /// The file.
        path: PathBuf,
        /// The share of pixels that are not opaque.
        percent: f64,
        /// Column of the first such pixel.
        x: usize,
        /// Row of the first such pixel.
        y: usize,
    },
    /// The file has no such page.
    #[error("{}: expected a TIFF file with a page {}, found none", path.display(), page + 1)]
    Page {
        /// The file.
        path: PathBuf,
        /// The page's index.
        page: usize,
    },
    /// An annotation file does not describe a label.
    #[error("{}: {found}", path.display())]
    Drawing {
        /// The annotation file.
        path: PathBuf,
        /// What was expected and found.
        found: String,
    },
    /// The mask of one class or object has more than two values, or another size than the others.
    #[error(
        "mask {}: read as the mask of one class or object, expected 0 and one other value and the size of the image's other \
         masks, found {found}; --masks FOLDER chooses the folder of ordinary masks",
        path.display()
    )]
    PartMask {
        /// The mask.
        path: PathBuf,
        /// What was found.
        found: String,
    },
}

impl FileError {
    /// The file.
    pub fn path(&self) -> &Path {
        match self {
            Self::Read { path, .. }
            | Self::TooLarge { path, .. }
            | Self::Format { path, .. }
            | Self::Damaged { path, .. }
            | Self::NotWhole { path, .. }
            | Self::Decode { path, .. }
            | Self::Samples { path, .. }
            | Self::Bands { path, .. }
            | Self::NoRange { path, .. }
            | Self::TiffKind { path, .. }
            | Self::TiffCompression { path, .. }
            | Self::TiffData { path }
            | Self::Memory { path, .. }
            | Self::Size { path, .. }
            | Self::LabelSamples { path, .. }
            | Self::Alpha { path, .. }
            | Self::Page { path, .. }
            | Self::Drawing { path, .. }
            | Self::PartMask { path, .. } => path,
        }
    }

    /// The same error with what the `bytes` of the file say about its cause.
    pub(super) fn explained(self, bytes: &[u8]) -> Self {
        let Self::Decode { path, source } = self else { return self };
        if !matches!(source, ImageError::Decoding(_) | ImageError::IoError(_)) {
            return Self::Decode { path, source };
        }
        let mut cause: &dyn std::error::Error = &source;
        while let Some(next) = cause.source() {
            cause = next;
        }
        let cause = cause.to_string();
        let how = if image::guess_format(bytes).is_ok_and(|format| format == ImageFormat::Png) {
            let cause = cause.trim_end_matches('.');
            png_damage(bytes)
                .unwrap_or_else(|| format!("is damaged: its checksums are right, its content is not ({cause})"))
        } else if matches!(&source, ImageError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof) {
            "is cut off: it ends before its last pixel".to_owned()
        } else {
            return Self::Decode { path, source };
        };
        Self::NotWhole { path, how }
    }

    /// Whether leaving the file out avoids the error. It does not for a label with transparent pixels or for samples without a
    /// range: an option says what they are.
    pub fn is_unreadable(&self) -> bool {
        !matches!(self, Self::Alpha { .. } | Self::NoRange { .. })
    }

    /// The message with its causes, in one line.
    pub fn with_causes(&self) -> String {
        crate::chain(self)
    }

    /// [`FileError::with_causes`] without the path, for a text that names the file itself.
    pub fn without_path(&self) -> String {
        let text = self.with_causes();
        let Some((before, after)) = text.split_once(&*self.path().to_string_lossy()) else {
            return text;
        };
        match (before, after.strip_prefix(": ")) {
            ("" | "mask ", Some(rest)) => rest.to_owned(),
            ("" | "mask ", None) => format!("it{after}"),
            _ => format!("{before}it{after}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_the_file_once_or_not_at_all() {
        let path = PathBuf::from("some/a.png");
        let source = std::io::Error::other("no disk");
        let errors = [
            (FileError::Read { path: path.clone(), source }, "cannot read it: no disk"),
            (FileError::TiffData { path: path.clone() }, "it is damaged or cut off: its TIFF data cannot be read"),
            (
                FileError::Format { path: path.clone(), found: "text" },
                "expected a PNG, JPEG, TIFF or BMP file, found text",
            ),
            (
                FileError::LabelSamples { path: path.clone(), expected: "whole numbers", found: "0.5,".into() },
                "it has 0.5, expected whole numbers",
            ),
            (
                FileError::PartMask { path: path.clone(), found: "7".into() },
                "read as the mask of one class or object, expected 0 and one other value and the size of the image's other \
                 masks, found 7; --masks FOLDER chooses the folder of ordinary masks",
            ),
        ];
        for (error, expected) in errors {
            assert_eq!(error.with_causes().matches("some/a.png").count(), 1);
            assert_eq!(error.without_path(), expected);
            assert!(error.is_unreadable());
        }
        assert!(!FileError::NoRange { path: path.clone(), kind: "32-bit float" }.is_unreadable());
        assert!(!FileError::Alpha { path, percent: 1.0, x: 0, y: 0 }.is_unreadable());
    }
}
