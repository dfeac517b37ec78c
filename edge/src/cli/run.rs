//! `unet-edge run`: masks and overlays for a folder of images. Cameras become further sources here, and what is done with
//! a mask further outputs.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use unet_edge::package::Package;
use unet_edge::segmenter::{Int8Segmenter, Segmenter};
use unet_edge::{atomic_file, picture};
use unet_shared::files::dataset::list_images;
use unet_shared::files::{DecodedImage, decode_image};
use unet_shared::label::LabelTable;
use unet_shared::mask::mask_to_image;
use unet_shared::preprocess::Preprocessor;

use super::{EngineArguments, Failure, chain, load};

/// Write masks and overlays for the images of a folder
#[derive(Debug, Args)]
pub struct Run {
    /// The package
    package: PathBuf,
    #[command(flatten)]
    engine: EngineArguments,
    /// A folder of images, or one image
    #[arg(long)]
    source: PathBuf,
    /// Where the folders masks and overlays go
    #[arg(long)]
    output: PathBuf,
}

impl Run {
    pub fn main(self) -> Result<(), Failure> {
        let (package, segmenter) = load(&self.package, &self.engine)?;
        let images = list_images(&self.source).map_err(Failure::input)?;
        let [masks, overlays] = ["masks", "overlays"].map(|name| self.output.join(name));
        for folder in [&masks, &overlays] {
            fs::create_dir_all(folder).map_err(|error| Failure::write(folder, error))?;
        }
        let mut painter = Painter::new(&package, segmenter)?;
        let mut skipped = 0;
        for (index, sample) in images.iter().enumerate() {
            let start = Instant::now();
            let progress = format!("{}/{} {}", index + 1, images.len(), sample.image.display());
            match painter.paint(&sample.image) {
                Ok(painted) => {
                    // Two images of one stem, as a.png and a.jpg, keep their full names.
                    let alone = images.iter().filter(|other| other.name == sample.name).count() == 1;
                    let file_name = sample.image.file_name().unwrap_or_default().to_string_lossy();
                    let name = if alone { format!("{}.png", sample.name) } else { format!("{file_name}.png") };
                    write(&masks.join(&name), &painted.mask)?;
                    write(&overlays.join(&name), &painted.overlay)?;
                    unet_edge::error::say(format_args!("{progress}: {:.1} ms", start.elapsed().as_secs_f64() * 1e3));
                }
                Err(error) => {
                    skipped += 1;
                    unet_edge::error::say(format_args!("{progress}: skipped: {}", chain(error.as_ref())));
                }
            }
        }
        if skipped > 0 {
            return Err(Failure::fault(format!("{skipped} of {} images were skipped", images.len())));
        }
        Ok(())
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    atomic_file::write(path, bytes).map_err(|error| Failure::write(path, error))
}

/// Two PNG files.
struct Painted {
    mask: Vec<u8>,
    overlay: Vec<u8>,
}

/// From an image file to its mask and overlay, with the buffers that one image leaves for the next.
struct Painter {
    preprocessor: Preprocessor,
    segmenter: Int8Segmenter,
    labels: LabelTable,
    colors: Vec<[u8; 3]>,
    planes: Vec<u8>,
    mask: Vec<u8>,
    prediction: Vec<u8>,
}

impl Painter {
    fn new(package: &Package, segmenter: Int8Segmenter) -> Result<Self, Failure> {
        let manifest = &package.manifest;
        let spec = manifest.preprocess;
        Ok(Painter {
            preprocessor: Preprocessor::new(spec).map_err(Failure::input)?,
            segmenter,
            labels: manifest.label_table().map_err(Failure::input)?,
            colors: manifest.classes.iter().map(|class| class.color).collect(),
            planes: vec![0; spec.input_len()],
            mask: vec![0; spec.width as usize * spec.height as usize],
            prediction: Vec::new(),
        })
    }

    fn paint(&mut self, path: &Path) -> Result<Painted, Box<dyn std::error::Error>> {
        let image: DecodedImage = decode_image(path)?;
        let placement = self.preprocessor.run(&image.view(), &mut self.planes)?;
        self.segmenter.segment(&self.planes, &mut self.mask)?;
        self.prediction.resize(image.width * image.height, 0);
        let spec = self.preprocessor.spec();
        mask_to_image(&self.mask, spec, placement, image.width, image.height, &mut self.prediction)?;
        Ok(Painted {
            mask: picture::label_png(&self.prediction, image.width, image.height, &self.labels)?,
            overlay: picture::overlay_png(&image.view(), &self.prediction, &self.colors)?,
        })
    }
}
