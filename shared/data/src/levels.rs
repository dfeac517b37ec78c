//! The range of samples that becomes the 256 levels of a model's input: one for a whole set of images, so that a value means
//! the same in each of them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use unet_shared::samples::{Bands, Range, RangeError, Shortest};

use super::counted::{counted, one_or_many};
use super::decode::{Raster, SampleKind};

/// Samples examined in all images together, and the bounds for one.
const SAMPLES_MAX: usize = 4 << 20;
const SAMPLES_OF_IMAGE: std::ops::RangeInclusive<usize> = 256..=65536;

/// The shares of samples below and above the range, in thousandths.
const CLIPPED_PER_MILLE: usize = 1;

/// Samples use a depth if they reach the upper half of 16 bits, or no lower depth holds them, and they are spread over this
/// share of it: of the 256 levels at least 64 are left then. Values far from 0 do not count as spread.
const SPREAD_MIN: f64 = 0.25;
const UPPER_HALF: f64 = 32768.0;

/// A requested range.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum RangeRequest {
    /// The declared depth, if all files declare one; the high byte, if 16-bit samples use the whole depth; a depth of 10, 12 or
    /// 14 bits, if they fill that; else percentiles.
    #[default]
    Auto,
    /// From 0 to the largest value of the depth that the files declare.
    Depth,
    /// From 0.1 to 99.9 % of the samples.
    Percentiles,
    /// The high byte of 16-bit samples.
    HighByte,
    /// As given.
    Given(Range),
}

impl FromStr for RangeRequest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected =
            || format!("expected auto, depth, percentiles, high-byte or LOW,HIGH such as 0,4095, found {text:?}");
        Ok(match text {
            "auto" => Self::Auto,
            "depth" => Self::Depth,
            "percentiles" => Self::Percentiles,
            "high-byte" => Self::HighByte,
            _ => {
                let (low, high) = text.split_once(',').ok_or_else(expected)?;
                let number = |text: &str| text.trim().parse::<f64>().map_err(|_| expected());
                let range = Range::new(number(low)?, number(high)?);
                // The flag is named already.
                Self::Given(
                    range.map_err(|error: RangeError| error.to_string().trim_start_matches("range: ").to_owned())?,
                )
            }
        })
    }
}

/// Why no range can be chosen.
#[derive(Debug, thiserror::Error)]
pub enum LevelsError {
    /// The images do not declare one depth.
    #[error(
        "--range depth: expected images that declare one depth of unsigned integers, found {found}; --range LOW,HIGH gives the \
         range"
    )]
    Depth {
        /// What they declare.
        found: String,
    },
    /// The samples of the images are of different kinds, whose values do not mean the same.
    #[error(
        "images of more than 8 bits: expected one kind of samples, found {} in {} and {} in {}; convert one of them, or \
         give their range as --range LOW,HIGH",
        first.0, first.1.display(), second.0, second.1.display()
    )]
    Kinds {
        /// What the samples of a file are.
        first: (SampleKind, PathBuf),
        /// What those of another are.
        second: (SampleKind, PathBuf),
    },
    /// `--range high-byte` on samples that are not 16-bit.
    #[error("--range high-byte: expected 16-bit samples, found {kind} in {}", path.display())]
    HighByte {
        /// What the samples are.
        kind: SampleKind,
        /// The file.
        path: PathBuf,
    },
}

/// The chosen range, and what it was chosen from.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Levels {
    /// The range; `None` for the high byte, or if all images are 8-bit.
    pub range: Option<Range>,
    /// How many images have more than 8 bits.
    pub deep: usize,
    /// How many have 8 bits.
    shallow: usize,
    text: String,
}

impl fmt::Display for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        match self.shallow {
            0 => Ok(()),
            count => {
                let used = one_or_many(count, "is used as it is", "are used as they are");
                write!(f, "; {} of 8 bits {used}", counted(count, "image"))
            }
        }
    }
}

/// Common camera depths, which files rarely declare.
const CAMERA_DEPTHS: [u8; 3] = [10, 12, 14];

/// What is known of the images with more than 8 bits.
#[derive(Default)]
struct Survey<'a> {
    /// What samples are, with a file of each.
    kinds: Vec<(SampleKind, &'a Path)>,
    /// Bits that the files declare or have; none if they are not unsigned integers.
    depths: Vec<Option<u8>>,
    values: Vec<f64>,
    deep: usize,
    shallow: usize,
}

/// Chooses the range for a model that is trained on these images, from a [`Look`] at each.
///
/// # Errors
/// If the request does not fit them.
pub fn choose_range<'a>(
    images: impl IntoIterator<Item = (&'a Path, &'a Look)>,
    request: RangeRequest,
) -> Result<Levels, LevelsError> {
    let mut survey = Survey::default();
    for (path, look) in images {
        let Some(kind) = look.kind else {
            survey.shallow += 1;
            continue;
        };
        if kind != SampleKind::U16 && request == RangeRequest::HighByte {
            return Err(LevelsError::HighByte { kind, path: path.into() });
        }
        survey.deep += 1;
        if !survey.kinds.iter().any(|(other, _)| *other == kind) {
            survey.kinds.push((kind, path));
        }
        if !survey.depths.contains(&look.depth) {
            survey.depths.push(look.depth);
        }
        survey.values.extend(&look.values);
    }
    match survey.kinds[..] {
        [first, second, ..] if !matches!(request, RangeRequest::Given(_)) => {
            let of = |(kind, path): (SampleKind, &Path)| (kind, path.to_owned());
            Err(LevelsError::Kinds { first: of(first), second: of(second) })
        }
        _ => survey.choose(request),
    }
}

/// What the range is chosen from, for one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// What its samples are; none if they have 8 bits.
    kind: Option<SampleKind>,
    /// The depth that it declares or has.
    depth: Option<u8>,
    /// Some of its samples.
    values: Vec<f64>,
}

impl Look {
    /// Looks at one of `images` images, of which `bands` are used.
    pub fn at(raster: &Raster, bands: Option<&Bands>, images: usize) -> Self {
        if !raster.samples.is_deep() {
            return Self { kind: None, depth: None, values: Vec::new() };
        }
        let quota = (SAMPLES_MAX / images.max(1)).clamp(*SAMPLES_OF_IMAGE.start(), *SAMPLES_OF_IMAGE.end());
        let bands = raster.used_bands(bands);
        let pixels = raster.width * raster.height;
        let step = (pixels * bands.len()).div_ceil(quota).max(1);
        let chosen = (0..pixels).step_by(step).flat_map(|pixel| bands.iter().map(move |band| (pixel, band)));
        let values = chosen.filter_map(|(pixel, band)| raster.samples.get(pixel * raster.bands + band));
        let values = values.filter(|&value| raster.is_data(value)).collect();
        let kind = raster.samples.kind();
        let unsigned = matches!(kind, SampleKind::U16 | SampleKind::U32);
        let depth = unsigned.then(|| raster.declared_bits.unwrap_or(raster.bit_depth));
        Self { kind: Some(kind), depth, values }
    }
}

/// The value with this many thousandths of the others below it; it is moved to its place in their order.
fn rank(values: &mut [f64], per_mille: usize) -> Option<f64> {
    let at = (values.len().checked_sub(1)? * per_mille + 500) / 1000;
    Some(*values.select_nth_unstable_by(at, f64::total_cmp).1)
}

impl Survey<'_> {
    fn choose(mut self, request: RangeRequest) -> Result<Levels, LevelsError> {
        let (deep, shallow) = (self.deep, self.shallow);
        let mut levels = Levels { range: None, deep, shallow, text: String::new() };
        if deep == 0 {
            levels.shallow = 0;
            if let RangeRequest::Given(range) = request {
                (levels.range, levels.text) = (Some(range), format!("samples: {range} for images of more than 8 bits"));
            }
            return Ok(levels);
        }
        let kinds = self.kinds.iter().map(|(kind, _)| kind.to_string()).collect::<Vec<_>>().join(" and ");
        let are_16_bit = self.kinds.iter().all(|(kind, _)| *kind == SampleKind::U16);
        let mut at = |per_mille: usize| rank(&mut self.values, per_mille);
        let least = at(0).unwrap_or(0.0);
        let (low, high) = (at(CLIPPED_PER_MILLE).unwrap_or(0.0), at(1000 - CLIPPED_PER_MILLE).unwrap_or(1.0));
        let most = at(1000).unwrap_or(1.0);
        let used = format!("{kinds} with values from {} to {}", Shortest(least), Shortest(most));
        let range = |low: f64, high: f64| Range::new(low, if low < high { high } else { low + 1.0 }).ok();
        let declared = match self.depths[..] {
            [Some(bits)] => Some(bits),
            _ => None,
        };
        let whole = |bits: u8| range(0.0, 2f64.powi(i32::from(bits)) - 1.0);
        let holds = |bits: &u8| are_16_bit && most < 2f64.powi(i32::from(*bits));
        let fills = |bits: &u8| high - low >= 2f64.powi(i32::from(*bits)) * SPREAD_MIN;
        let filled = CAMERA_DEPTHS.into_iter().find(holds).filter(fills);
        let percentiles = || {
            let range = range(low, high);
            let text = range.map_or_else(String::new, |range| range.to_string());
            let text = format!(
                "samples: {used}; {text}, the 0.1 and 99.9 % percentiles, are mapped to 0 to 255 (change with --range)"
            );
            (range, text)
        };
        (levels.range, levels.text) = match request {
            RangeRequest::Given(range) => {
                (Some(range), format!("samples: {used}; {range} are mapped to 0 to 255, as given"))
            }
            RangeRequest::HighByte => (None, format!("samples: {used}; the high byte is used, as --range says")),
            RangeRequest::Depth => {
                let bits = declared.ok_or_else(|| LevelsError::Depth { found: self.declarations() })?;
                (whole(bits), format!("samples: {used}; {bits} bits are mapped to 0 to 255, as --range says"))
            }
            RangeRequest::Percentiles => percentiles(),
            RangeRequest::Auto => match (declared, filled) {
                (Some(bits @ ..16), _) => (
                    whole(bits),
                    format!(
                        "samples: {used}; {bits} bits, as the files declare, are mapped to 0 to 255 (change with --range)"
                    ),
                ),
                _ if are_16_bit && high >= UPPER_HALF && fills(&16) => {
                    (None, format!("samples: {used}; the high byte is used (change with --range)"))
                }
                (_, Some(bits)) => (
                    whole(bits),
                    format!(
                        "samples: {used}; {bits} bits, which hold all values, are mapped to 0 to 255 (change with --range)"
                    ),
                ),
                _ => percentiles(),
            },
        };
        Ok(levels)
    }

    fn declarations(&self) -> String {
        let of = |depth: &Option<u8>| depth.map_or_else(|| "none".to_owned(), |bits| format!("{bits} bits"));
        self.depths.iter().map(of).collect::<Vec<_>>().join(" and ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageBuffer, Luma};
    use proptest::prelude::*;

    fn deep(folder: &Path, name: &str, value: impl Fn(u32) -> u16) -> PathBuf {
        let path = folder.join(name);
        let pixels = (0..100 * 100).map(value).collect();
        ImageBuffer::<Luma<u16>, Vec<u16>>::from_raw(100, 100, pixels).unwrap().save(&path).unwrap();
        path
    }

    fn choose(paths: &[PathBuf], request: &str) -> Result<Levels, LevelsError> {
        let look = |path: &PathBuf| Look::at(&crate::decode::read_raster(path, None).unwrap(), None, paths.len());
        let looks: Vec<Look> = paths.iter().map(look).collect();
        choose_range(paths.iter().map(PathBuf::as_path).zip(&looks), request.parse().unwrap())
    }

    #[test]
    fn one_range_is_chosen_over_all_images() {
        let folder = tempfile::tempdir().unwrap();
        // Twelve bits, of which one image uses the lower half, and one pixel is hot.
        let a = deep(folder.path(), "a.png", |index| if index == 7 { 65535 } else { (index % 2048) as u16 });
        let b = deep(folder.path(), "b.tif", |index| 2048 + (index % 2048) as u16);
        let levels = choose(&[a.clone(), b.clone()], "auto").unwrap();
        let range = levels.range.unwrap();
        assert!(range.low() < 16.0 && (4080.0..4096.0).contains(&range.high()), "{range}");
        let text = levels.to_string();
        assert!(text.starts_with("samples: 16-bit with values from 0 to 65535; ") && text.contains("0.1 and 99.9 %"));
        assert_eq!(choose(&[a.clone(), b.clone()], "0,4095").unwrap().range, Range::new(0.0, 4095.0).ok());
        assert_eq!(choose(&[a.clone(), b.clone()], "high-byte").unwrap().range, None);
        assert_eq!(choose(&[a, b.clone()], "depth").unwrap().range, Range::new(0.0, 65535.0).ok());
        // Without the hot pixel the values fill twelve bits.
        let levels = choose(&[b], "auto").unwrap();
        assert_eq!(levels.range, Range::new(0.0, 4095.0).ok());
        assert!(levels.to_string().contains("; 12 bits, which hold all values, are mapped to 0 to 255"), "{levels}");
    }

    #[test]
    fn values_above_an_offset_do_not_use_the_whole_depth() {
        let folder = tempfile::tempdir().unwrap();
        // Twelve bits above the middle, as signed samples become when they are saved without a sign, and inverted ones.
        for (name, first) in [("a.png", 32768), ("b.png", 61440)] {
            let image = deep(folder.path(), name, |index| first + (index % 4096) as u16);
            let levels = choose(&[image], "auto").unwrap();
            let range = levels.range.unwrap_or_else(|| panic!("{name}: {levels}"));
            let first = f64::from(first);
            assert!((range.low() - first - 4.0).abs() < 2.0 && (range.high() - first - 4091.0).abs() < 2.0, "{range}");
        }
        let wide = deep(folder.path(), "c.png", |index| 32768 + (index * 2) as u16);
        assert_eq!(choose(&[wide], "auto").unwrap().range, None);
    }

    #[test]
    fn samples_of_different_kinds_have_no_common_range() {
        let folder = tempfile::tempdir().unwrap();
        let whole = deep(folder.path(), "a.png", |index| index as u16);
        let float = folder.path().join("b.tif");
        let mut file = std::fs::File::create(&float).unwrap();
        let mut encoder = tiff::encoder::TiffEncoder::new(&mut file).unwrap();
        encoder.write_image::<tiff::encoder::colortype::Gray32Float>(2, 1, &[0.25, 0.5]).unwrap();
        drop(file);
        let error = choose(&[whole.clone(), float.clone()], "auto").unwrap_err().to_string();
        assert!(error.contains("16-bit in ") && error.contains("32-bit float in "), "{error}");
        assert!(choose(&[whole, float.clone()], "0,1").is_ok());
        assert_eq!(choose(std::slice::from_ref(&float), "auto").unwrap().range, Range::new(0.25, 0.5).ok());
        assert!(choose(std::slice::from_ref(&float), "depth").is_err() && choose(&[float], "high-byte").is_err());
    }

    #[test]
    fn images_of_the_whole_depth_keep_their_high_byte_and_those_of_8_bits_their_values() {
        let folder = tempfile::tempdir().unwrap();
        let wide = deep(folder.path(), "a.png", |index| (index * 6) as u16);
        let plain = folder.path().join("b.png");
        image::GrayImage::new(2, 2).save(&plain).unwrap();
        let levels = choose(&[wide, plain.clone()], "auto").unwrap();
        assert_eq!((levels.range, levels.deep, levels.shallow), (None, 1, 1));
        assert!(
            levels
                .to_string()
                .ends_with("the high byte is used (change with --range); 1 image of 8 bits is used as it is")
        );
        assert_eq!(choose(&[plain], "auto").unwrap(), Levels::default());
    }

    proptest! {
        #[test]
        fn ranks_are_those_of_sorted_values(values in prop::collection::vec(-1e6..1e6, 0..3000)) {
            let (mut moved, mut sorted) = (values.clone(), values);
            sorted.sort_unstable_by(f64::total_cmp);
            for per_mille in [0, 1, 999, 1000] {
                let expected = sorted.get((sorted.len().saturating_sub(1) * per_mille + 500) / 1000).copied();
                prop_assert_eq!(rank(&mut moved, per_mille), expected);
            }
        }
    }

    #[test]
    fn unknown_requests_are_refused() {
        for text in ["", "1", "4095,0", "a,b", "nan,1", "high"] {
            assert!(text.parse::<RangeRequest>().is_err(), "{text}");
        }
    }
}
