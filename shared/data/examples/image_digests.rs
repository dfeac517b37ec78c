//! One SHA-256 over the decoded pixels of many images: equal on two machines if their decoders agree.
//!
//! `cargo run --release -p unet-data --example image_digests -- [--each] FILE...`
//!
//! `--each` also prints a line per file. A file that cannot be decoded is an error.

use std::error::Error;
use std::path::PathBuf;

use unet_data::decode_image;
use unet_shared::digest::{Digest, Hasher};
use unet_shared::samples::SampleReading;

fn main() -> Result<(), Box<dyn Error>> {
    let mut paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let each = paths.first().is_some_and(|first| first.as_os_str() == "--each");
    if each {
        paths.remove(0);
    }
    if paths.is_empty() {
        return Err("expected files, found none".into());
    }
    let mut all = Hasher::new();
    for path in &paths {
        let image = decode_image(path, &SampleReading::PLAIN)?;
        let head = format!("{}x{} {}\n", image.width, image.height, image.format);
        let digest = Digest::of_parts([head.as_bytes(), &image.data]);
        all.update(&digest.0);
        if each {
            println!("{digest}  {}", path.display());
        }
    }
    println!("{}  {} images", all.finish(), paths.len());
    Ok(())
}
