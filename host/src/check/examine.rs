//! Decodes a file or a pair and keeps the facts that findings need: about 1.5 KB, never the pixels, so that a dataset of any
//! size can be checked.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use image::ImageFormat;
use unet_data::decode::{LabelSource, Raster, SampleKind, read_raster};
use unet_data::histogram::LabelHistogram;
use unet_data::label_facts::LabelFacts;
use unet_data::levels::Look;
use unet_data::{Annotation, FileError, Split};
use unet_shared::image::PixelFormat;
use unet_shared::label::{LabelValue, Reading};
use unet_shared::samples::{Bands, Range, SampleReading};

use super::fingerprint::Fingerprint;

/// What is decoded together: a pair, or a file that has no partner.
#[derive(Debug, Clone, PartialEq)]
pub struct Unit {
    /// The image file.
    pub image: Option<PathBuf>,
    /// The page of the image's file, if that is a TIFF file of several.
    pub page: Option<usize>,
    /// Where the mask comes from.
    pub mask: Option<Annotation>,
    /// The split that they belong to.
    pub split: Option<Split>,
}

impl Unit {
    /// Whether it is a pair of the dataset.
    pub fn is_pair(&self) -> bool {
        self.image.is_some() && self.mask.is_some()
    }
}

/// Facts about a unit's files, or why they cannot be read.
#[derive(Debug)]
pub struct Examined {
    /// Of the image, if there is one.
    pub image: Option<Result<ImageFacts, FileError>>,
    /// Of the mask, if there is one.
    pub mask: Option<Result<(MaskFacts, LabelHistogram), FileError>>,
    /// Whether the mask's file has the same bytes as the image's.
    pub is_image_twice: bool,
}

impl Examined {
    /// The errors of the files that are [unreadable](FileError::is_unreadable).
    pub fn unreadable(&self) -> impl Iterator<Item = &FileError> {
        let image = self.image.as_ref().and_then(|image| image.as_ref().err());
        let mask = self.mask.as_ref().and_then(|mask| mask.as_ref().err());
        image.into_iter().chain(mask).filter(|error| error.is_unreadable())
    }
}

/// Whether no image has the bands that are asked for.
pub fn all_lack_bands(examined: &[Examined]) -> bool {
    let mut images = examined.iter().filter_map(|examined| examined.image.as_ref()).peekable();
    images.peek().is_some() && images.all(|image| matches!(image, Err(FileError::Bands { .. })))
}

/// Facts about an image.
#[derive(Debug)]
pub struct ImageFacts {
    /// Width and height in pixels, after orientation.
    pub size: (usize, usize),
    /// EXIF orientation, 1 to 8.
    pub orientation: u8,
    /// The pixels' format.
    pub format: PixelFormat,
    /// What the samples are, if they have more than 8 bits.
    pub deep: Option<SampleKind>,
    /// Whether the samples become bytes only with a range.
    pub needs_range: bool,
    /// What the range is chosen from; `None` if this image is not used for that.
    pub look: Option<Look>,
    /// Bands that are neither picture nor alpha.
    pub extra_bands: usize,
    /// Is a JPEG with data left over.
    pub leftovers: bool,
    /// RGB whose channels are equal in every pixel.
    pub gray_as_rgb: bool,
    /// The format of the content, if the extension says another.
    pub really: Option<&'static str>,
    /// To find duplicates; none for an image of a single value.
    pub fingerprint: Option<Fingerprint>,
}

/// Facts about a mask.
#[derive(Debug)]
pub struct MaskFacts {
    /// Width and height in pixels.
    pub size: (usize, usize),
    /// How it was stored.
    pub source: LabelSource,
    /// Whether it has colours.
    pub colours: bool,
    /// The value, if there is only one.
    pub single: Option<LabelValue>,
    /// The share of pixels that are not opaque.
    pub transparent: f64,
    /// What it contains, to compare it with the others.
    pub label: LabelFacts,
    /// The format of the content, if the extension says another.
    pub really: Option<&'static str>,
}

/// Decodes a unit's files; `index` identifies the unit in the counts, `bands` of images are used, and `look` returns what
/// the range is chosen from; `None` if the image is not used for that.
pub fn examine(
    unit: &Unit,
    reading: &Reading,
    bands: Option<Bands>,
    index: usize,
    look: impl Fn(&Raster) -> Option<Look>,
) -> Examined {
    Examined {
        image: unit.image.as_deref().map(|image| image_facts(image, unit.page, bands, look)),
        mask: unit.mask.as_ref().map(|mask| mask_facts(mask, reading, index)),
        is_image_twice: match (&unit.image, &unit.mask) {
            (Some(image), Some(Annotation::File(mask))) => have_same_bytes(image, mask),
            _ => false,
        },
    }
}

fn image_facts(
    path: &Path,
    page: Option<usize>,
    bands: Option<Bands>,
    look: impl Fn(&Raster) -> Option<Look>,
) -> Result<ImageFacts, FileError> {
    let raster = read_raster(path, page)?;
    let look = look(&raster);
    let deep = raster.samples.is_deep().then(|| raster.samples.kind());
    let needs_range = raster.samples.needs_range();
    // Training uses one range for the whole set; here each image uses its own. One without a range, such as an image of only
    // no-data values, may use any.
    let range = raster.own_range().or_else(|| if needs_range { Range::new(0.0, 1.0).ok() } else { None });
    let reading = SampleReading { range, bands };
    let gray_as_rgb = raster.is_gray_as_rgb(bands.as_ref());
    let hashes = deep.map(|_| raster.pixel_hashes());
    let image = raster.into_image(path, &reading)?;
    // A decoded image always fits the thumbnail's preprocessing.
    let fingerprint = Fingerprint::of(&image, hashes.as_deref()).ok();
    Ok(ImageFacts {
        size: (image.width, image.height),
        orientation: image.orientation,
        deep,
        needs_range,
        look,
        extra_bands: if bands.is_none() { image.extra_bands } else { 0 },
        leftovers: image.leftovers,
        format: image.format,
        gray_as_rgb,
        really: real_format(path),
        fingerprint: fingerprint.filter(|print| !print.uniform),
    })
}

fn mask_facts(mask: &Annotation, reading: &Reading, index: usize) -> Result<(MaskFacts, LabelHistogram), FileError> {
    let label = mask.decode()?;
    let transparent = label
        .alpha
        .as_ref()
        .map_or(0.0, |alpha| alpha.iter().filter(|&&alpha| alpha < u8::MAX).count() as f64 / alpha.len().max(1) as f64);
    let label = label.into_values(reading, mask.path())?;
    let (facts, histogram) = LabelFacts::of(&label, index);
    let mut values = histogram.values.keys();
    let facts = MaskFacts {
        size: (label.width, label.height),
        source: label.source,
        colours: histogram.has_colours(),
        single: values.next().copied().filter(|_| values.next().is_none()),
        transparent,
        label: facts,
        really: real_format(mask.path()),
    };
    Ok((facts, histogram))
}

/// Whether two files have the same bytes; false if one cannot be read, which is reported where it is decoded.
fn have_same_bytes(one: &Path, other: &Path) -> bool {
    let length = |path: &Path| std::fs::metadata(path).ok().map(|facts| facts.len());
    length(one).is_some() && length(one) == length(other) && std::fs::read(one).ok() == std::fs::read(other).ok()
}

/// The format that a file's first bytes say, if its extension says another.
fn real_format(path: &Path) -> Option<&'static str> {
    let mut head = Vec::new();
    File::open(path).ok()?.take(64).read_to_end(&mut head).ok()?;
    let really = image::guess_format(&head).ok()?;
    let stated = ImageFormat::from_path(path).ok()?;
    (really != stated).then_some(match really {
        ImageFormat::Png => "PNG",
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Tiff => "TIFF",
        ImageFormat::Bmp => "BMP",
        _ => "another format",
    })
}
