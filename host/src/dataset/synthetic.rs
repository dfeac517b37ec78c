//! The demo's dataset: seeded gray images of discs, squares, triangles and rings over a textured, unevenly lit and
//! noisy background, with a label image beside each, written in the layout `{train,val}/{images,masks}`.
//!
//! Two classes are brighter than the background and two are darker, but the light varies more than they differ, so no
//! threshold separates them; the classes of a pair differ in outline and texture. Labels are arbitrary gray values rather
//! than ids, as in real annotations.
//!
//! The pixels depend on the configuration alone: the project's generator, integers and the exactly rounded operations of
//! `f32` (no sine, no power) make them equal on every machine. The PNG files may differ by encoder version.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use image::{GrayImage, ImageFormat, Luma};

use crate::rng::Rng;

/// A class: its name, its value in the label files, and its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyntheticClass {
    /// Name in dataset.toml.
    pub name: &'static str,
    /// Gray value in the label files.
    pub value: u8,
    /// Colour in overlays.
    pub color: [u8; 3],
}

/// The classes, by id.
pub const CLASSES: [SyntheticClass; 5] = [
    SyntheticClass { name: "background", value: 0, color: [48, 54, 64] },
    SyntheticClass { name: "disc", value: 60, color: [230, 159, 0] },
    SyntheticClass { name: "square", value: 120, color: [86, 180, 233] },
    SyntheticClass { name: "triangle", value: 180, color: [0, 158, 115] },
    SyntheticClass { name: "ring", value: 240, color: [213, 94, 140] },
];

/// Allowed image sides: below, shapes would be a few pixels wide; above, files are too large for a demo.
const SIDES: std::ops::RangeInclusive<u32> = 32..=4096;

/// Radii around its centre that contain the outline of any shape.
const REACH: f32 = 1.3;

/// What to generate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntheticConfig {
    /// Seed of the images.
    pub seed: u64,
    /// Number of training images.
    pub train: usize,
    /// Number of validation images.
    pub val: usize,
    /// Width of each image in pixels, 32 to 4096.
    pub width: u32,
    /// Height of each image in pixels, 32 to 4096.
    pub height: u32,
}

impl Default for SyntheticConfig {
    fn default() -> Self {
        Self { seed: 1, train: 96, val: 24, width: 128, height: 128 }
    }
}

/// The split of a frame; the two draw from unrelated streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyntheticSplit {
    /// Training.
    Train,
    /// Validation.
    Val,
}

impl SyntheticSplit {
    fn folder(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
        }
    }
}

/// Why the dataset was not written.
#[derive(Debug, thiserror::Error)]
pub enum SyntheticError {
    /// A side is out of range.
    #[error("synthetic images: expected sides of {} to {} pixels, found {width}x{height}", SIDES.start(), SIDES.end())]
    Size {
        /// Configured width.
        width: u32,
        /// Configured height.
        height: u32,
    },
    /// A split would be empty.
    #[error(
        "images: expected a synthetic dataset of at least 1 training and 1 validation image, found {train} and {val}"
    )]
    Count {
        /// Configured training images.
        train: usize,
        /// Configured validation images.
        val: usize,
    },
    /// Existing files would be mixed with the new ones.
    #[error("{path}: expected a new or empty folder for the synthetic dataset, found other files")]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// A folder or file could not be written.
    #[error("{path}: cannot be written")]
    Write {
        /// The folder or file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A PNG could not be encoded or written.
    #[error("{path}: image cannot be written")]
    Encode {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: image::ImageError,
    },
}

/// Writes the dataset to `root`, a new or empty folder: `{train,val}/{images,masks}/NNNN.png` (8-bit gray; an
/// image and its label share a name) and dataset.toml with names, values and colours of the classes.
pub fn generate(root: &Path, config: &SyntheticConfig) -> Result<(), SyntheticError> {
    config.check()?;
    create(root)?;
    if fs::read_dir(root).map_err(|source| write_error(root, source))?.next().is_some() {
        return Err(SyntheticError::NotEmpty { path: root.to_owned() });
    }
    for (split, count) in [(SyntheticSplit::Train, config.train), (SyntheticSplit::Val, config.val)] {
        let images = root.join(split.folder()).join("images");
        let masks = root.join(split.folder()).join("masks");
        create(&images)?;
        create(&masks)?;
        for index in 0..count {
            let (image, label) = frame(config, split, index)?;
            let name = format!("{index:04}.png");
            save(&image, &images.join(&name))?;
            save(&label, &masks.join(&name))?;
        }
    }
    let file = root.join("dataset.toml");
    fs::write(&file, dataset_toml()).map_err(|source| write_error(&file, source))
}

/// One image and its label (values of [`CLASSES`]), both `width` x `height`. It does not depend on the number of frames in the
/// configuration.
pub fn frame(
    config: &SyntheticConfig,
    split: SyntheticSplit,
    index: usize,
) -> Result<(GrayImage, GrayImage), SyntheticError> {
    config.check()?;
    let stream = if split == SyntheticSplit::Train { 0 } else { 1 };
    let mut rng = Rng::from_parts(&[config.seed, stream, index as u64]);
    Ok(Scene::new(&mut rng, config.width, config.height).render(&mut rng))
}

impl SyntheticConfig {
    fn check(&self) -> Result<(), SyntheticError> {
        let &Self { train, val, width, height, .. } = self;
        if !SIDES.contains(&width) || !SIDES.contains(&height) {
            return Err(SyntheticError::Size { width, height });
        }
        if train == 0 || val == 0 {
            return Err(SyntheticError::Count { train, val });
        }
        Ok(())
    }
}

fn dataset_toml() -> String {
    let mut text = String::from("# Written by unet-host's generator of synthetic data.\n");
    for SyntheticClass { name, value, color: [r, g, b] } in CLASSES {
        text += &format!("\n[[class]]\nname = \"{name}\"\nvalue = {value}\ncolor = \"#{r:02x}{g:02x}{b:02x}\"\n");
    }
    text
}

fn create(path: &Path) -> Result<(), SyntheticError> {
    unet_engine::atomic_file::create_folder(path).map_err(|source| write_error(path, source))
}

fn save(image: &GrayImage, path: &Path) -> Result<(), SyntheticError> {
    image
        .save_with_format(path, ImageFormat::Png)
        .map_err(|source| SyntheticError::Encode { path: path.to_owned(), source })
}

fn write_error(path: &Path, source: io::Error) -> SyntheticError {
    SyntheticError::Write { path: path.to_owned(), source }
}

/// A shape's class by its id in [`CLASSES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Disc = 1,
    Square = 2,
    Triangle = 3,
    Ring = 4,
}

#[derive(Debug)]
struct Shape {
    kind: Kind,
    center: [f32; 2],
    radius: f32,
    /// A unit vector: the shape's first axis.
    axis: [f32; 2],
    /// Reflected light, in gray values under light 1.
    albedo: f32,
    /// Distance between stripes, in pixels.
    period: f32,
}

impl Shape {
    /// Position in the shape's axes, in pixels from its centre.
    fn local(&self, x: f32, y: f32) -> [f32; 2] {
        let (dx, dy) = (x - self.center[0], y - self.center[1]);
        [dx * self.axis[0] + dy * self.axis[1], dy * self.axis[0] - dx * self.axis[1]]
    }

    fn contains(&self, x: f32, y: f32) -> bool {
        let [u, v] = self.local(x, y);
        let r = self.radius;
        match self.kind {
            Kind::Disc => u * u + v * v <= r * r,
            Kind::Square => u.abs() <= 0.8 * r && v.abs() <= 0.8 * r,
            // Three half planes at 0 and +-120 degrees.
            Kind::Triangle => {
                let inner = 0.65 * r;
                u <= inner && -0.5 * u + 0.866_025_4 * v <= inner && -0.5 * u - 0.866_025_4 * v <= inner
            }
            Kind::Ring => (0.3 * r * r..=1.1 * r * r).contains(&(u * u + v * v)),
        }
    }

    /// The texture, added to the albedo: stripes on triangles, a checker pattern on squares.
    fn texture(&self, x: f32, y: f32) -> f32 {
        let [u, v] = self.local(x, y);
        match self.kind {
            Kind::Disc | Kind::Ring => 0.0,
            Kind::Triangle => 22.0 * wave(u / self.period),
            Kind::Square => 32.0 * wave(u / self.period) * wave(v / self.period),
        }
    }
}

/// A triangle wave of period 1 between -1 and 1.
fn wave(t: f32) -> f32 {
    let phase = t - t.floor();
    4.0 * (phase - 0.5).abs() - 1.0
}

/// Smoothed random heights on a grid, for uneven background and light.
#[derive(Debug)]
struct Noise {
    columns: usize,
    heights: Vec<f32>,
    cell: f32,
}

impl Noise {
    fn new(rng: &mut Rng, width: u32, height: u32, cell: f32) -> Self {
        let (columns, rows) = ((width as f32 / cell) as usize + 2, (height as f32 / cell) as usize + 2);
        let heights = (0..columns * rows).map(|_| rng.range_f32(-1.0, 1.0)).collect();
        Self { columns, heights, cell }
    }

    /// A value of -1..1 at a position within the image.
    fn at(&self, x: f32, y: f32) -> f32 {
        let (gx, gy) = (x / self.cell, y / self.cell);
        let (column, row) = (gx as usize, gy as usize);
        let (fx, fy) = (ease(gx - column as f32), ease(gy - row as f32));
        let corner = row * self.columns + column;
        let above = self.heights[corner] + (self.heights[corner + 1] - self.heights[corner]) * fx;
        let corner = corner + self.columns;
        let below = self.heights[corner] + (self.heights[corner + 1] - self.heights[corner]) * fx;
        above + (below - above) * fy
    }
}

/// Cubic easing of 0..1, flat at both ends, so that the noise shows no grid lines.
fn ease(t: f32) -> f32 {
    t * t * (3.0 - 2.0 * t)
}

#[derive(Debug)]
struct Scene {
    width: u32,
    height: u32,
    shapes: Vec<Shape>,
    background: f32,
    coarse: Noise,
    fine: Noise,
    /// Change of the light from edge to edge, horizontally and vertically.
    slope: [f32; 2],
    /// Position, strength and reach (in pixels) of a lamp.
    lamp: [f32; 2],
    lamp_strength: f32,
    lamp_reach: f32,
    grain: f32,
}

impl Scene {
    fn new(rng: &mut Rng, width: u32, height: u32) -> Self {
        let side = width.min(height) as f32;
        Self {
            width,
            height,
            shapes: place(rng, width as f32, height as f32),
            background: rng.range_f32(100.0, 125.0),
            coarse: Noise::new(rng, width, height, 0.12 * side),
            fine: Noise::new(rng, width, height, 0.03 * side),
            slope: [rng.range_f32(-0.4, 0.4), rng.range_f32(-0.4, 0.4)],
            lamp: [rng.unit_f32() * width as f32, rng.unit_f32() * height as f32],
            lamp_strength: rng.range_f32(0.0, 0.35),
            lamp_reach: rng.range_f32(0.2, 0.5) * side,
            grain: rng.range_f32(3.0, 7.0),
        }
    }

    /// Light at a position: about 0.5 to 1.7.
    fn light(&self, x: f32, y: f32) -> f32 {
        let (across, down) = (x / self.width as f32 - 0.5, y / self.height as f32 - 0.5);
        let (dx, dy) = ((x - self.lamp[0]) / self.lamp_reach, (y - self.lamp[1]) / self.lamp_reach);
        1.0 + self.slope[0] * across + self.slope[1] * down + self.lamp_strength / (1.0 + dx * dx + dy * dy)
    }

    fn albedo(&self, x: f32, y: f32) -> f32 {
        match self.shapes.iter().find(|shape| shape.contains(x, y)) {
            Some(shape) => shape.albedo + shape.texture(x, y) + 4.0 * self.fine.at(x, y),
            None => self.background + 14.0 * self.coarse.at(x, y) + 9.0 * self.fine.at(x, y),
        }
    }

    fn render(&self, rng: &mut Rng) -> (GrayImage, GrayImage) {
        let mut image = GrayImage::new(self.width, self.height);
        let mut label = GrayImage::new(self.width, self.height);
        for (y, x) in (0..self.height).flat_map(|y| (0..self.width).map(move |x| (y, x))) {
            let (px, py) = (x as f32, y as f32);
            // Four samples per pixel blur the outlines as a lens does; the label is that of the pixel's centre.
            let samples = [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)];
            let albedo = samples.iter().fold(0.0, |sum, (sx, sy)| sum + self.albedo(px + sx, py + sy)) / 4.0;
            let (cx, cy) = (px + 0.5, py + 0.5);
            let value = albedo * self.light(cx, cy) + self.grain * rng.normal_f32();
            image.put_pixel(x, y, Luma([(value + 0.5).clamp(0.0, 255.0) as u8]));
            let id = self.shapes.iter().find(|shape| shape.contains(cx, cy)).map_or(0, |shape| shape.kind as usize);
            label.put_pixel(x, y, Luma([CLASSES[id].value]));
        }
        (image, label)
    }
}

/// Three to six shapes that neither touch each other nor leave the image; fewer if there is no room left.
fn place(rng: &mut Rng, width: f32, height: f32) -> Vec<Shape> {
    let side = width.min(height);
    let wanted = 3 + rng.below(4) as usize;
    let mut shapes: Vec<Shape> = Vec::with_capacity(wanted);
    for _ in 0..20 * wanted {
        let shape = draw(rng, side, width, height);
        let apart = |other: &Shape| {
            let (dx, dy) = (shape.center[0] - other.center[0], shape.center[1] - other.center[1]);
            let gap = REACH * (shape.radius + other.radius) + 0.02 * side;
            dx * dx + dy * dy > gap * gap
        };
        if shapes.iter().all(apart) {
            shapes.push(shape);
        }
        if shapes.len() == wanted {
            break;
        }
    }
    shapes
}

fn draw(rng: &mut Rng, side: f32, width: f32, height: f32) -> Shape {
    let kind = [Kind::Disc, Kind::Square, Kind::Triangle, Kind::Ring][rng.below(4) as usize];
    let radius = rng.range_f32(0.1, 0.17) * side;
    let margin = REACH * radius;
    let center = [rng.range_f32(margin, width - margin), rng.range_f32(margin, height - margin)];
    // The half circle's rational form: a unit vector for every t of -1..1 without sine and cosine.
    let t = rng.range_f32(-1.0, 1.0);
    let turn = if rng.flip() { 1.0 } else { -1.0 };
    let axis = [turn * (1.0 - t * t) / (1.0 + t * t), turn * 2.0 * t / (1.0 + t * t)];
    // The classes of a pair differ by less than the light.
    let middle = match kind {
        Kind::Square => 42.0,
        Kind::Ring => 70.0,
        Kind::Triangle => 160.0,
        Kind::Disc => 195.0,
    };
    let albedo = middle + rng.range_f32(-10.0, 10.0);
    let period = rng.range_f32(0.035, 0.05) * side;
    Shape { kind, center, radius, axis, albedo, period }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: SyntheticConfig = SyntheticConfig { seed: 7, train: 3, val: 2, width: 64, height: 48 };

    /// FNV-1a over the pixels, to detect any changed byte.
    fn fingerprint(image: &GrayImage) -> u64 {
        image.as_raw().iter().fold(0xcbf2_9ce4_8422_2325, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
    }

    #[test]
    fn pixels_are_fixed_for_all_time() {
        let config = SyntheticConfig::default();
        let (image, label) = frame(&config, SyntheticSplit::Train, 0).unwrap();
        assert_eq!((fingerprint(&image), fingerprint(&label)), (0xdb13_4815_b9aa_9ab6, 0x802d_95b5_894e_4f71));
        let (image, label) = frame(&SMALL, SyntheticSplit::Val, 1).unwrap();
        assert_eq!((fingerprint(&image), fingerprint(&label)), (0x2fe8_60d9_4374_61b2, 0x4178_52c0_62c6_a3a1));
    }

    #[test]
    fn seed_split_and_index_each_matter_and_counts_do_not() {
        let of = |config: &SyntheticConfig, split, index| frame(config, split, index).unwrap();
        let base = of(&SMALL, SyntheticSplit::Train, 0);
        assert_ne!(base, of(&SMALL, SyntheticSplit::Val, 0));
        assert_ne!(base, of(&SMALL, SyntheticSplit::Train, 1));
        assert_ne!(base, of(&SyntheticConfig { seed: 8, ..SMALL }, SyntheticSplit::Train, 0));
        assert_eq!(base, of(&SyntheticConfig { train: 30, val: 20, ..SMALL }, SyntheticSplit::Train, 0));
    }

    #[test]
    fn every_class_occurs_and_the_background_prevails() {
        let mut counts = [0usize; 256];
        for index in 0..40 {
            let (_, label) = frame(&SyntheticConfig::default(), SyntheticSplit::Train, index).unwrap();
            label.as_raw().iter().for_each(|&value| counts[usize::from(value)] += 1);
        }
        let pixels = 40 * 128 * 128;
        let share = |value: u8| counts[usize::from(value)] as f64 / pixels as f64;
        for class in &CLASSES[1..] {
            assert!((0.02..0.10).contains(&share(class.value)), "{} has {:.4}", class.name, share(class.value));
        }
        assert!((0.7..0.9).contains(&share(0)), "background has {:.4}", share(0));
        assert_eq!(CLASSES.iter().map(|class| counts[usize::from(class.value)]).sum::<usize>(), pixels);
    }

    /// Upper bound for thresholds: for each gray value its most frequent class.
    #[test]
    fn no_threshold_solves_it() {
        let mut counts = vec![[0u32; 256]; 256];
        for index in 0..40 {
            let (image, label) = frame(&SyntheticConfig::default(), SyntheticSplit::Train, index).unwrap();
            for (&gray, &value) in image.as_raw().iter().zip(label.as_raw()) {
                counts[usize::from(gray)][usize::from(value)] += 1;
            }
        }
        let winner: Vec<usize> = counts.iter().map(|row| (0..256).max_by_key(|&v| row[v]).unwrap()).collect();
        let iou = |value: usize| {
            let both: u32 = (0..256).filter(|&g| winner[g] == value).map(|g| counts[g][value]).sum();
            let truth: u32 = counts.iter().map(|row| row[value]).sum();
            let said: u32 = (0..256).filter(|&g| winner[g] == value).flat_map(|g| counts[g]).sum();
            f64::from(both) / f64::from(truth + said - both)
        };
        let mean = CLASSES.iter().map(|class| iou(usize::from(class.value))).sum::<f64>() / 5.0;
        assert!(mean < 0.65, "mean IoU of the best look-up by gray value is {mean:.3}");
    }

    #[test]
    fn outlines_by_hand() {
        let shape = |kind, axis| Shape { kind, center: [50.0, 50.0], radius: 10.0, axis, albedo: 0.0, period: 4.0 };
        let upright = [1.0, 0.0];
        // (kind, axis, point, inside)
        let cases = [
            (Kind::Disc, upright, (59.9, 50.0), true),
            (Kind::Disc, upright, (57.2, 57.2), false),
            (Kind::Square, upright, (57.9, 57.9), true),
            (Kind::Square, upright, (58.1, 50.0), false),
            (Kind::Square, [0.6, 0.8], (50.0, 60.0), true),
            (Kind::Triangle, upright, (56.4, 50.0), true),
            (Kind::Triangle, upright, (37.5, 50.0), true),
            (Kind::Triangle, upright, (62.5, 50.0), false),
            (Kind::Triangle, [-1.0, 0.0], (62.5, 50.0), true),
            (Kind::Ring, upright, (50.0, 50.0), false),
            (Kind::Ring, upright, (58.0, 50.0), true),
            (Kind::Ring, upright, (61.0, 50.0), false),
        ];
        for (kind, axis, (x, y), inside) in cases {
            assert_eq!(shape(kind, axis).contains(x, y), inside, "{kind:?} {axis:?} at {x}, {y}");
        }
        assert_eq!([wave(0.0), wave(0.25), wave(0.5), wave(-1.0)], [1.0, 0.0, -1.0, 1.0]);
    }

    #[test]
    fn writes_the_folder_once() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("new");
        generate(&root, &SMALL).unwrap();
        let count = |path: &str| fs::read_dir(root.join(path)).unwrap().count();
        assert_eq!(
            [count("train/images"), count("train/masks"), count("val/images"), count("val/masks")],
            [3, 3, 2, 2]
        );
        let label = image::open(root.join("val/masks/0001.png")).unwrap().into_luma8();
        assert_eq!(label, frame(&SMALL, SyntheticSplit::Val, 1).unwrap().1);
        let toml = fs::read_to_string(root.join("dataset.toml")).unwrap();
        assert_eq!(toml.matches("[[class]]").count(), 5);
        assert!(toml.contains("name = \"ring\"\nvalue = 240\ncolor = \"#d55e8c\"\n"));
        let again = generate(&root, &SMALL).unwrap_err();
        assert!(again.to_string().contains("expected a new or empty folder"), "{again}");
    }

    #[test]
    fn odd_configurations_are_refused() {
        let text = |config: SyntheticConfig| frame(&config, SyntheticSplit::Train, 0).unwrap_err().to_string();
        assert_eq!(
            text(SyntheticConfig { width: 31, ..SMALL }),
            "synthetic images: expected sides of 32 to 4096 pixels, found 31x48"
        );
        assert!(text(SyntheticConfig { height: 5000, ..SMALL }).contains("64x5000"));
        assert!(text(SyntheticConfig { val: 0, ..SMALL }).ends_with("found 3 and 0"));
        for (width, height) in [(32, 32), (33, 200), (200, 33)] {
            let (image, label) = frame(&SyntheticConfig { width, height, ..SMALL }, SyntheticSplit::Train, 0).unwrap();
            assert_eq!((image.dimensions(), label.dimensions()), ((width, height), (width, height)));
        }
    }
}
