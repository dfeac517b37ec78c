//! `unet-edge run`: masks and overlays for a folder of images; or a configuration or a source of frames, with the pipeline in
//! `device.rs`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use unet_data::image_list::{list_images, refuse_output_in};
use unet_data::stacks::expand_images;
use unet_data::{DecodedImage, Sample, counted};
use unet_edge::config::{self, BoardConfig, ConfigError, Resolved, WatchdogConfig};
use unet_edge::frame_source::parse_word;
use unet_edge::outputs::Places;
use unet_edge::sinks;
use unet_edge::telemetry::log::{Log, LogLevel};
use unet_engine::exit::Exit;
use unet_engine::package::Package;
use unet_engine::predictor::Predictor;
use unet_engine::segmenter::Int8Segmenter;
use unet_engine::{atomic_file, picture};
use unet_shared::image::SIDE_MAX;
use unet_shared::label::LabelTable;
use unet_shared::preprocess::Preprocess;

use super::device::Device;
use super::reload::{Setup, as_trained};
use super::{EngineArguments, Failure, TilesArgument, chain, load, where_from};

/// Segment frames of a camera, a stream, or a folder of images
#[derive(Debug, Args)]
pub struct Run {
    /// The package
    package: Option<PathBuf>,
    /// A configuration file, in place of all other arguments
    #[arg(long, value_name = "FILE", conflicts_with_all = ["package", "source", "output", "kernel", "threads", "tiles"])]
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
    #[command(flatten)]
    tiles: TilesArgument,
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
            return paint_files(package, &self.engine, self.tiles, images, output);
        }
        let engine = self.engine.options()?;
        let read = Package::read(package)?;
        let setup = Setup {
            file: None,
            package: package.clone(),
            engine,
            tiles: self.tiles.tiles,
            source: as_trained(source, &read.manifest),
            resolved: Resolved::default(),
            rules: Vec::new(),
            board: BoardConfig::default(),
            outputs: sinks::without_configuration(self.output.as_deref()),
            watchdog: WatchdogConfig::default(),
            log: LogLevel::default(),
        };
        Device { package: read, setup }.main()
    }
}

/// What to do about arguments beside `--config`; `None` for any other error.
pub fn conflict(error: &clap::Error) -> Option<String> {
    let named = |kind| match error.get(kind) {
        Some(ContextValue::String(argument)) => vec![argument.clone()],
        Some(ContextValue::Strings(arguments)) => arguments.clone(),
        _ => vec![],
    };
    let arguments = [named(ContextKind::InvalidArg), named(ContextKind::PriorArg)].concat();
    let (config, others): (Vec<&String>, Vec<&String>) =
        arguments.iter().partition(|argument| argument.starts_with("--config"));
    if error.kind() != ErrorKind::ArgumentConflict || config.is_empty() {
        return None;
    }
    let others = others.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    Some(format!(
        "--config FILE takes the place of all other arguments; leave out {others} and set it in FILE: unet-edge run --config FILE"
    ))
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
    let package =
        Package::read(&config.package).map_err(|error| Failure::input(chain(&error) + &where_from(&config.package)))?;
    let Preprocess { width, height, .. } = package.manifest.preprocess;
    let pixels = u64::from(width) * u64::from(height);
    let lines: Vec<usize> = any.iter().map(|note| note.line).collect();
    config.constant_conditions(pixels).iter().filter(|note| !lines.contains(&note.line)).for_each(tell);
    let setup = Setup::new(path, config, &package.manifest)?;
    Ok(Device { package, setup })
}

/// Masks and overlays of image files, with the names of the files.
fn paint_files(
    package: &Path,
    engine: &EngineArguments,
    tiles: TilesArgument,
    source: &Path,
    output: &Path,
) -> Result<(), Failure> {
    refuse_output_in(source, "the input images", output).map_err(Failure::input)?;
    let (package, predictor) = load(package, engine)?;
    let predictor = tiles.apply(predictor);
    let list = list_images(source).map_err(Failure::input)?;
    if let Some(passed_over) = list.passed_over(source) {
        unet_engine::error::say(passed_over);
    }
    let mut notes = Vec::new();
    let images = expand_images(list.samples, &mut notes);
    notes.iter().for_each(unet_engine::error::say);
    let [masks, overlays] = ["masks", "overlays"].map(|name| output.join(name));
    let places = Places::new(Log::new(LogLevel::Warning));
    let lock = |folder: &PathBuf| places.open(folder).map_err(|error| Failure::write(folder, error));
    let _locks = [lock(&masks)?, lock(&overlays)?];
    let mut painter = Painter::new(&package, predictor)?;
    let (mut skipped, mut unwritten) = (0, 0);
    for (index, sample) in images.iter().enumerate() {
        let start = Instant::now();
        let page = sample.page.map_or_else(String::new, |page| format!(", page {}", page + 1));
        let progress = format!("{}/{} {}{page}", index + 1, images.len(), sample.image.display());
        match painter.paint(sample) {
            Ok(painted) => {
                let name = format!("{}.png", sample.name);
                // A disk may have room again for the next one.
                match write(&masks.join(&name), &painted.mask).and(write(&overlays.join(&name), &painted.overlay)) {
                    Ok(()) => {
                        let milliseconds = start.elapsed().as_secs_f64() * 1e3;
                        unet_engine::error::say(format_args!("{progress}: {milliseconds:.1} ms"));
                    }
                    Err(failure) => {
                        unwritten += 1;
                        unet_engine::error::say(format_args!("{progress}: not written: {failure}"));
                    }
                }
            }
            Err(error) => {
                skipped += 1;
                unet_engine::error::say(format_args!("{progress}: skipped: {}", chain(error.as_ref())));
            }
        }
    }
    if unwritten > 0 {
        let all = counted(images.len(), "image");
        let error = format!("{unwritten} of {all} could not be written, {skipped} could not be read");
        return Err(Failure { exit: Exit::Write, error: error.into() });
    }
    if skipped > 0 {
        return Err(Failure::fault(format!("{skipped} of {} could not be read", counted(images.len(), "image"))));
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
    /// Whether a warning about an image was printed; only the first one is.
    warned: bool,
}

impl Painter {
    fn new(package: &Package, predictor: Predictor<Int8Segmenter>) -> Result<Self, Failure> {
        let manifest = &package.manifest;
        Ok(Painter {
            predictor,
            labels: manifest.label_table().map_err(Failure::input)?,
            colors: manifest.classes.iter().map(|class| class.color).collect(),
            warned: false,
        })
    }

    fn paint(&mut self, sample: &Sample) -> Result<Painted, Box<dyn std::error::Error>> {
        let image: DecodedImage = sample.decode_image(&self.predictor.spec().samples)?;
        if let Some(warning) = image.warning()
            && !std::mem::replace(&mut self.warned, true)
        {
            unet_engine::error::say(format_args!("warning: {}: {warning}", sample.image.display()));
        }
        let mask = self.predictor.predict(&image.view())?;
        let labels = picture::label_png(mask, image.width, image.height, &self.labels)?;
        let painted = picture::rgb_image(&image.view())?;
        drop(image);
        Ok(Painted { mask: labels, overlay: picture::painted_png(painted, mask, &self.colors)? })
    }
}
