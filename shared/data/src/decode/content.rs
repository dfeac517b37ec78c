//! What the bytes of a file are, before a decoder is asked.

use image::ImageFormat;

/// Describes the content of an unsupported file, for the error message.
pub(super) fn guess_content(bytes: &[u8]) -> &'static str {
    if bytes.is_empty() {
        "an empty file"
    } else if bytes.starts_with(b"MATLAB 5.0 MAT-file") {
        "a MATLAB .mat file"
    } else if bytes.starts_with(b"\x89HDF\r\n\x1a\n") {
        "an HDF5 file (such as a MATLAB 7.3 .mat file)"
    } else if bytes.starts_with(b"\x93NUMPY") {
        "a NumPy .npy file"
    } else if bytes.starts_with(b"PK\x03\x04") {
        "a zip file"
    } else if bytes.starts_with(b"version https://git-lfs") {
        "a Git LFS pointer, whose content was never fetched"
    } else if bytes.windows(13).take(1024).any(|text| text == b"\nformat ascii") {
        "a Berkeley .seg run-length text"
    } else if let Ok(format) = image::guess_format(bytes) {
        match format {
            ImageFormat::Gif => "a GIF image",
            ImageFormat::WebP => "a WebP image",
            ImageFormat::Avif => "an AVIF image",
            ImageFormat::Pnm => "a PNM image",
            _ => "an image of another format",
        }
    } else if bytes.iter().take(1024).all(|&byte| (b' '..=b'~').contains(&byte) || byte.is_ascii_whitespace()) {
        "text"
    } else {
        "data of an unknown kind"
    }
}
