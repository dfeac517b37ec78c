//! Arbitrary bytes as an image file: decoding gives an image, or an error of one line that names the file, and never panics.

#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use unet_data::decode::read_raster;
use unet_data::{decode_image, decode_label};
use unet_shared::samples::{Range, SampleReading};

/// The file that is decoded, one for each process.
static FILE: LazyLock<PathBuf> =
    LazyLock::new(|| std::env::temp_dir().join(format!("unet-fuzz-{}.image", std::process::id())));

fuzz_target!(|data: &[u8]| {
    std::fs::write(&*FILE, data).expect("the temporary folder takes a file");
    let ranged = SampleReading { range: Range::new(-10.0, 3000.0).ok(), bands: None };
    let plain = decode_image(&FILE, &SampleReading::PLAIN).map(drop);
    let page = read_raster(&FILE, Some(0)).and_then(|raster| raster.into_image(&FILE, &ranged)).map(drop);
    for error in [plain.err(), page.err(), decode_label(&FILE).err()].into_iter().flatten() {
        let text = error.to_string();
        assert!(!text.contains('\n') && text.contains(".image"), "{text}");
    }
});
