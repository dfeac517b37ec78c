//! The requested input of the network, which the dataset resolves to a [`Preprocess`].

use std::num::NonZeroU16;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::de::value::{Error as ValueError, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer as _};
use unet_data::levels::RangeRequest;
use unet_shared::preprocess::{Channels, Filter, Fit, Normalize, Preprocess};
use unet_shared::samples::{Bands, SampleReading};

/// How images become the network's input. Size and channels that are not given are found from the images.
#[derive(Clone, Debug, clap::Args)]
pub struct InputOptions {
    /// Input size as WIDTHxHEIGHT, multiples of 2^depth times the stem (default: the images' size, at most 512 a side)
    #[arg(long, value_parser = parse_size, allow_hyphen_values = true)]
    pub size: Option<(u32, u32)>,
    /// Colour channels of the input, 1 or 3 (default: those of the images; 1 if all are gray, also where they are stored as RGB)
    #[arg(long, value_parser = parse_channels)]
    pub channels: Option<Channels>,
    /// How an image is fitted to the input: stretched, scaled with its aspect ratio kept, or unscaled with a margin
    #[arg(long, default_value = "stretch", value_parser = variants::<Fit, 3>(["stretch", "letterbox", "pad"]))]
    pub fit: Fit,
    /// Filter for scaling images
    #[arg(long, default_value = "area", value_parser = variants::<Filter, 3>(["nearest", "bilinear", "area"]))]
    pub filter: Filter,
    /// Mean of each channel, subtracted after the division by 255: one or three numbers, separated by commas
    #[arg(long, value_delimiter = ',', requires = "std", allow_hyphen_values = true)]
    pub mean: Vec<f32>,
    /// Standard deviation of each channel to divide by: one or three numbers, separated by commas
    #[arg(long, value_delimiter = ',', requires = "mean", allow_hyphen_values = true)]
    pub std: Vec<f32>,
}

/// Which samples of an image file are used, and how they become bytes.
#[derive(Clone, Debug, clap::Args)]
pub struct SampleOptions {
    /// Values of 16-bit, float and signed images that are mapped to 0 to 255: auto, depth, percentiles, high-byte or LOW,HIGH
    #[arg(long, default_value = "auto", allow_hyphen_values = true, value_parser = clap::value_parser!(RangeRequest))]
    pub range: RangeRequest,
    /// Bands of the image files to use, counted from 1: one as gray, or three as red, green and blue (default: gray or the
    /// first three)
    #[arg(long, value_parser = parse_bands, allow_hyphen_values = true)]
    pub bands: Option<Bands>,
}

impl InputOptions {
    /// The preprocessing for an input of `size` (width, height) with `channels`, which the images suggest; requested values
    /// take precedence.
    ///
    /// # Errors
    /// If mean or standard deviation are neither one number nor three.
    pub fn preprocess(&self, size: (u32, u32), channels: Channels) -> Result<Preprocess, String> {
        let (width, height) = self.size.unwrap_or(size);
        let normalize = if self.mean.is_empty() {
            Normalize::Unit
        } else {
            Normalize::MeanStd { mean: per_channel("mean", &self.mean)?, std: per_channel("std", &self.std)? }
        };
        let channels = self.channels.unwrap_or(channels);
        Ok(Preprocess {
            width,
            height,
            channels,
            fit: self.fit,
            filter: self.filter,
            normalize,
            fill: 0,
            samples: SampleReading::PLAIN,
        })
    }
}

fn per_channel(flag: &str, values: &[f32]) -> Result<[f32; 3], String> {
    match *values {
        [one] => Ok([one; 3]),
        [a, b, c] => Ok([a, b, c]),
        _ => Err(format!("--{flag}: expected one or three numbers, found {}", values.len())),
    }
}

/// Parses a variant of `T` by the name that serde gives it; `T` comes from a crate that does not know clap.
fn variants<T, const N: usize>(names: [&'static str; N]) -> impl TypedValueParser<Value = T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(names).try_map(|name| {
        let name: StrDeserializer<ValueError> = name.as_str().into_deserializer();
        T::deserialize(name)
    })
}

/// Parses `WIDTHxHEIGHT`.
///
/// # Errors
/// If the text is not of this form.
pub fn parse_size(text: &str) -> Result<(u32, u32), String> {
    let sides = text.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    sides.ok_or_else(|| "expected WIDTHxHEIGHT, such as 240x176".to_owned())
}

/// Parses one or three numbers of bands.
///
/// # Errors
/// If the text is neither.
pub fn parse_bands(text: &str) -> Result<Bands, String> {
    let expected = || format!("expected one or three bands, counted from 1, such as 1,2,3, found {text:?}");
    let numbers: Result<Vec<NonZeroU16>, _> = text.split(',').map(|number| number.trim().parse()).collect();
    match numbers.map_err(|_| expected())?[..] {
        [band] => Ok(Bands::Gray([band])),
        [red, green, blue] => Ok(Bands::Rgb([red, green, blue])),
        _ => Err(expected()),
    }
}

/// Parses a number of colour channels.
///
/// # Errors
/// If the text is neither 1 nor 3.
pub fn parse_channels(text: &str) -> Result<Channels, String> {
    match text {
        "1" => Ok(Channels::Gray),
        "3" => Ok(Channels::Rgb),
        _ => Err("expected 1 or 3".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Arguments {
        #[command(flatten)]
        input: InputOptions,
        #[command(flatten)]
        samples: SampleOptions,
    }

    fn preprocess(line: &str) -> Result<Preprocess, String> {
        let words = std::iter::once("test").chain(line.split_whitespace());
        let arguments = Arguments::try_parse_from(words).map_err(|error| error.to_string())?;
        arguments.input.preprocess((32, 16), Channels::Rgb)
    }

    #[test]
    fn without_arguments_size_and_channels_are_those_found() {
        let expected = Preprocess { width: 32, height: 16, channels: Channels::Rgb, ..Preprocess::CLASSIC };
        assert_eq!(preprocess(""), Ok(expected));
    }

    #[test]
    fn arguments_take_precedence() {
        let found = preprocess("--size 64x48 --channels 1 --fit pad --filter nearest --mean -0.5 --std 1,2,3").unwrap();
        assert_eq!((found.width, found.height, found.channels), (64, 48, Channels::Gray));
        assert_eq!((found.fit, found.filter), (Fit::Pad, Filter::Nearest));
        assert_eq!(found.normalize, Normalize::MeanStd { mean: [-0.5; 3], std: [1.0, 2.0, 3.0] });
        for (name, fit) in [("stretch", Fit::Stretch), ("letterbox", Fit::Letterbox)] {
            assert_eq!(preprocess(&format!("--fit {name}")).unwrap().fit, fit);
        }
        for (name, filter) in [("bilinear", Filter::Bilinear), ("area", Filter::Area)] {
            assert_eq!(preprocess(&format!("--filter {name}")).unwrap().filter, filter);
        }
    }

    #[test]
    fn invalid_values_name_the_flag() {
        for (line, expected) in [
            ("--mean 1,2 --std 1", "--mean: expected one or three numbers, found 2"),
            ("--mean 1", "--std"),
            ("--fit round", "letterbox"),
            ("--size 64", "240x176"),
            ("--channels 2", "expected 1 or 3"),
            ("--range 5,1", "the lower first"),
            ("--bands 0", "counted from 1"),
            ("--bands 1,2", "one or three bands"),
        ] {
            let error = preprocess(line).unwrap_err();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
