//! `unet-edge run`: masks and overlays for a folder of images; or a configuration or a source of frames, with the pipeline in
//! `device.rs`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use unet_data::dataset::list_images;
use unet_data::{DecodedImage, decode_image};
use unet_edge::config::{self, BoardConfig, Config, ConfigError, Resolved, WatchdogConfig};
use unet_edge::frame_source::parse_word;
use unet_edge::sinks;
use unet_edge::telemetry::log::LogLevel;
use unet_engine::package::Package;
use unet_engine::predictor::Predictor;
use unet_engine::segmenter::Int8Segmenter;
use unet_engine::{atomic_file, picture};
use unet_shared::image::SIDE_MAX;
use unet_shared::label::LabelTable;
use unet_shared::preprocess::Preprocess;

use super::device::Device;
use super::{EngineArguments, Failure, chain, load};

/// Segment frames of a camera, a stream, or a folder of images
#[derive(Debug, Args)]
pub struct Run {
    /// The package
    package: Option<PathBuf>,
    /// A configuration file, in place of all other arguments
    #[arg(long, value_name = "FILE", conflicts_with_all = ["package", "source", "output", "kernel", "threads"])]
    config: Option<PathBuf>,
    #[command(flatten)]
    engine: EngineArguments,
    /// A folder of images or one image; /dev/video0, clip.y4m, - for YUV4MPEG2 on standard input, clip.mjpeg, a recording,
    /// or process:PROGRAM
    #[arg(long)]
    source: Option<String>,
    /// Folder for masks and overlays; without it, only a line of JSON is written for each frame
    #[arg(long)]
    output: Option<PathBuf>,
}

impl Run {
    pub fn main(self) -> Result<(), Failure> {
        if let Some(config) = &self.config {
            return configured(config)?.main();
        }
        let (Some(package), Some(word)) = (&self.package, &self.source) else {
            return Err(Failure::input("expected a package with --source SOURCE, or --config FILE"));
        };
        let source = parse_word(word).map_err(Failure::input)?;
        if let (Some(images), Some(output)) = (source.images(), &self.output) {
            return paint_files(package, &self.engine, images, output);
        }
        let device = Device {
            engine: self.engine.options()?,
            package: Package::read(package)?,
            source,
            resolved: Resolved::default(),
            rules: Vec::new(),
            board: BoardConfig::default(),
            outputs: sinks::without_configuration(self.output.as_deref()),
            watchdog: WatchdogConfig::default(),
            log: LogLevel::default(),
        };
        device.main()
    }
}

/// Reads a configuration.
fn configured(path: &Path) -> Result<Device, Failure> {
    let config = config::read(path).map_err(Failure::input)?;
    // Of any model.
    let pixels = (SIDE_MAX as u64).pow(2);
    let any = config.constant_conditions(pixels);
    let tell = |ConfigError { line, problem }: &ConfigError| {
        unet_engine::error::say(format_args!("warning: {}:{line}: {problem}", path.display()));
    };
    any.iter().for_each(tell);
    let package = Package::read(&config.package)?;
    let Preprocess { width, height, .. } = package.manifest.preprocess;
    let pixels = u64::from(width) * u64::from(height);
    let lines: Vec<usize> = any.iter().map(|note| note.line).collect();
    config.constant_conditions(pixels).iter().filter(|note| !lines.contains(&note.line)).for_each(tell);
    let classes: Vec<&str> = package.manifest.classes.iter().map(|class| class.name.as_str()).collect();
    let resolved = config.resolve(&classes).map_err(Failure::input)?;
    let Config { engine, source, rules, board, outputs, watchdog, log, .. } = config;
    Ok(Device { package, engine, source, resolved, rules, board, outputs, watchdog, log })
}

/// Masks and overlays of image files, with the names of the files.
fn paint_files(package: &Path, engine: &EngineArguments, source: &Path, output: &Path) -> Result<(), Failure> {
    let (package, predictor) = load(package, engine)?;
    let images = list_images(source).map_err(Failure::input)?;
    let [masks, overlays] = ["masks", "overlays"].map(|name| output.join(name));
    for folder in [&masks, &overlays] {
        fs::create_dir_all(folder).map_err(|error| Failure::write(folder, error))?;
    }
    let mut painter = Painter::new(&package, predictor)?;
    let mut skipped = 0;
    for (index, sample) in images.iter().enumerate() {
        let start = Instant::now();
        let progress = format!("{}/{} {}", index + 1, images.len(), sample.image.display());
        match painter.paint(&sample.image) {
            Ok(painted) => {
                // Images with the same stem, such as a.png and a.jpg, keep their full names.
                let alone = images.iter().filter(|other| other.name == sample.name).count() == 1;
                let file_name = sample.image.file_name().unwrap_or_default().to_string_lossy();
                let name = if alone { format!("{}.png", sample.name) } else { format!("{file_name}.png") };
                write(&masks.join(&name), &painted.mask)?;
                write(&overlays.join(&name), &painted.overlay)?;
                unet_engine::error::say(format_args!("{progress}: {:.1} ms", start.elapsed().as_secs_f64() * 1e3));
            }
            Err(error) => {
                skipped += 1;
                unet_engine::error::say(format_args!("{progress}: skipped: {}", chain(error.as_ref())));
            }
        }
    }
    if skipped > 0 {
        return Err(Failure::fault(format!("{skipped} of {} images were skipped", images.len())));
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    atomic_file::write(path, bytes).map_err(|error| Failure::write(path, error))
}

/// Two PNG files.
struct Painted {
    mask: Vec<u8>,
    overlay: Vec<u8>,
}

/// From an image file to its mask and overlay.
struct Painter {
    predictor: Predictor<Int8Segmenter>,
    labels: LabelTable,
    colors: Vec<[u8; 3]>,
}

impl Painter {
    fn new(package: &Package, predictor: Predictor<Int8Segmenter>) -> Result<Self, Failure> {
        let manifest = &package.manifest;
        Ok(Painter {
            predictor,
            labels: manifest.label_table().map_err(Failure::input)?,
            colors: manifest.classes.iter().map(|class| class.color).collect(),
        })
    }

    fn paint(&mut self, path: &Path) -> Result<Painted, Box<dyn std::error::Error>> {
        let image: DecodedImage = decode_image(path)?;
        let mask = self.predictor.predict(&image.view())?;
        Ok(Painted {
            mask: picture::label_png(mask, image.width, image.height, &self.labels)?,
            overlay: picture::overlay_png(&image.view(), mask, &self.colors)?,
        })
    }
}
