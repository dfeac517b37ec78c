//! Which operations a run applies, as the user requests them: presets by kind of image, and operations by name.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use clap::ValueEnum as _;
use clap::builder::PossibleValue;

use super::{Augmentation, Flips, OperationKind};

/// What `train` applies to colour images without `--flips` and `--augment`; to gray ones, [`Preset::Symmetric`].
pub(super) const DEFAULT: (Flips, &[OperationKind]) = (Flips::HORIZONTAL, &[]);

/// The operations that suit a kind of image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Preset {
    /// Photographs of scenes: horizontal flips, scale, rotate, brightness, contrast, gamma, colour, blur, noise, jpeg
    Photo,
    /// Images without an upright direction and of one magnification: both flips, quarter-turns, magnify, elastic, brightness,
    /// contrast, gamma, blur, noise
    Microscopy,
    /// Images without an upright direction, whose gray values stay as they are: both flips, quarter-turns
    Symmetric,
    /// Nothing, and no flips
    None,
}

impl Preset {
    pub(super) fn parts(self) -> (Flips, &'static [OperationKind]) {
        use OperationKind::{
            Blur, Brightness, Colour, Contrast, Elastic, Gamma, Jpeg, Magnify, Noise, QuarterTurns, Rotate, Scale,
        };
        match self {
            Self::Photo => {
                (Flips::HORIZONTAL, &[Scale, Rotate, Brightness, Contrast, Gamma, Colour, Blur, Noise, Jpeg])
            }
            Self::Microscopy => {
                (Flips::BOTH, &[QuarterTurns, Magnify, Elastic, Brightness, Contrast, Gamma, Blur, Noise])
            }
            Self::Symmetric => (Flips::BOTH, &[QuarterTurns]),
            Self::None => (Flips::NONE, &[]),
        }
    }
}

/// A word of `--augment`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// All operations of a preset.
    Preset(Preset),
    /// One operation.
    Operation(OperationKind),
}

static NAMED: LazyLock<Vec<Named>> = LazyLock::new(|| {
    let presets = Preset::value_variants().iter().map(|preset| Named::Preset(*preset));
    presets.chain(OperationKind::value_variants().iter().map(|kind| Named::Operation(*kind))).collect()
});

impl clap::ValueEnum for Named {
    fn value_variants<'a>() -> &'a [Self] {
        &NAMED
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::Preset(preset) => preset.to_possible_value(),
            Self::Operation(kind) => kind.to_possible_value(),
        }
    }
}

/// The requested augmentation of a new run.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct AugmentOptions {
    /// Random flips (default: those of the preset; horizontal with single operations)
    #[arg(long, value_enum)]
    pub flips: Option<Flips>,
    /// Random changes of training images together with their masks: a preset, operations, or both, separated by commas
    /// (default: symmetric for gray images, of which only square ones are turned; horizontal flips for colour)
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PRESET|OPERATION")]
    pub augment: Vec<Named>,
}

impl AugmentOptions {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The operations with presets written out.
    ///
    /// # Errors
    /// If there are two presets, an operation twice, or one beside `none`.
    pub fn resolve(&self) -> Result<Augmentation, String> {
        let presets = self.augment.iter().filter_map(|named| match named {
            Named::Preset(preset) => Some(*preset),
            Named::Operation(_) => None,
        });
        let presets: Vec<Preset> = presets.collect();
        if let [first, second, ..] = presets[..] {
            let name = |preset: Preset| Named::Preset(preset).name();
            return Err(format!("--augment: expected at most one preset, found {} and {}", name(first), name(second)));
        }
        if presets.contains(&Preset::None)
            && let Some(other) = self.augment.iter().find(|named| **named != Named::Preset(Preset::None))
        {
            return Err(format!("--augment none: expected nothing else, found {}; leave one out", other.name()));
        }
        let (flips, operations) = match presets[..] {
            [preset] => preset.parts(),
            _ if self.augment.is_empty() => DEFAULT,
            _ => (DEFAULT.0, &[][..]),
        };
        let listed = self.augment.iter().filter_map(|named| match named {
            Named::Operation(kind) => Some(*kind),
            Named::Preset(_) => None,
        });
        let augment = operations.iter().copied().chain(listed).collect();
        let augmentation = Augmentation { flips: self.flips.unwrap_or(flips), augment, class_pixels: vec![] };
        augmentation.validate_list()?;
        Ok(augmentation)
    }
}

impl Named {
    /// Its name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// Words of `--augment` as one text, separated by commas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamedList(Vec<Named>);

impl NamedList {
    /// Whether it is the default.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As `--augment` with these words.
    ///
    /// # Errors
    /// See [`AugmentOptions::resolve`].
    pub fn resolve(&self) -> Result<Augmentation, String> {
        AugmentOptions { flips: None, augment: self.0.clone() }.resolve()
    }
}

impl FromStr for NamedList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = |word: &str| {
            Named::from_str(word, false).map_err(|_| {
                let all: Vec<String> = NAMED.iter().map(|named| named.name()).collect();
                format!(
                    "expected a preset or operations, separated by commas, found {word:?}; available: {}",
                    all.join(", ")
                )
            })
        };
        text.split(',').map(named).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for NamedList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0[..] {
            [] => f.write_str("default"),
            _ => f.write_str(&self.0.iter().map(|named| named.name()).collect::<Vec<_>>().join("+")),
        }
    }
}

#[cfg(test)]
mod tests {
    use unet_shared::preprocess::{Channels, Preprocess};

    use super::*;

    fn resolved(flips: Option<Flips>, words: &[&str]) -> Result<Augmentation, String> {
        let augment = words.iter().map(|word| Named::from_str(word, false).unwrap()).collect();
        AugmentOptions { flips, augment }.resolve()
    }

    #[test]
    fn presets_are_written_out() {
        let photo = resolved(None, &["photo"]).unwrap();
        assert_eq!((photo.flips, photo.augment.len()), (Flips::HORIZONTAL, 9));
        let microscopy = resolved(None, &["microscopy", "cutout"]).unwrap();
        assert_eq!((microscopy.flips, microscopy.augment.len()), (Flips::BOTH, 9));
        assert_eq!(microscopy.augment.last(), Some(&OperationKind::Cutout));
        let none = resolved(None, &["none"]).unwrap();
        assert_eq!((none.flips, none.augment.len()), (Flips::NONE, 0));
        // The help of a preset lists what it does.
        for preset in Preset::value_variants() {
            let help = preset.to_possible_value().unwrap().get_help().unwrap().to_string();
            for kind in OperationKind::value_variants() {
                let listed = help.split([' ', ',']).any(|word| word == Named::Operation(*kind).name());
                assert_eq!(listed, preset.parts().1.contains(kind), "{preset:?}, {kind:?}: {help}");
            }
        }
    }

    #[test]
    fn flips_are_those_given_else_those_of_the_preset_else_the_default_ones() {
        assert_eq!(resolved(None, &[]), Ok(Augmentation::default()));
        assert_eq!(resolved(None, &["zoom"]).unwrap().flips, Flips::HORIZONTAL);
        assert_eq!(resolved(Some(Flips::NONE), &["microscopy"]).unwrap().flips, Flips::NONE);
        let vertical = resolved(Some(Flips::VERTICAL), &[]).unwrap();
        assert_eq!((vertical.flips, vertical.augment.len()), (Flips::VERTICAL, DEFAULT.1.len()));
    }

    #[test]
    fn the_help_text_says_the_default() {
        let command = <AugmentOptions as clap::Args>::augment_args(clap::Command::new("test"));
        let help =
            |id: &str| command.get_arguments().find(|a| a.get_id() == id).unwrap().get_help().unwrap().to_string();
        let of = |channels, width| Augmentation::default_for(&Preprocess { channels, width, ..Preprocess::CLASSIC });
        assert_eq!(of(Channels::Gray, 1024), Preset::Symmetric.into());
        assert_eq!(of(Channels::Gray, 512).to_string(), "flips both ways");
        let colour = of(Channels::Rgb, 1024);
        let expected =
            format!("(default: symmetric for gray images, of which only square ones are turned; {colour} for colour)");
        assert!(help("augment").contains(&expected), "{}", help("augment"));
        let flips = resolved(None, &["zoom"]).unwrap().flips;
        assert!(help("flips").contains("horizontal with single operations") && flips == Flips::HORIZONTAL);
    }

    #[test]
    fn a_list_is_one_text() {
        let list: NamedList = "photo,cutout".parse().unwrap();
        assert_eq!((list.to_string(), list.resolve().unwrap().augment.len()), ("photo+cutout".to_owned(), 10));
        assert_eq!(NamedList::default().to_string(), "default");
        assert_eq!(NamedList::default().resolve(), Ok(Augmentation::default()));
        let error = "photo,demo/data".parse::<NamedList>().unwrap_err();
        assert!(error.contains("\"demo/data\"; available: photo, microscopy, symmetric, none"), "{error}");
    }

    #[test]
    fn two_presets_and_an_operation_twice_are_refused_by_name() {
        let error = resolved(None, &["photo", "none"]).unwrap_err();
        assert_eq!(error, "--augment: expected at most one preset, found photo and none");
        let error = resolved(None, &["photo", "blur"]).unwrap_err();
        assert_eq!(error, "--augment: expected each operation once, found blur twice");
    }
}
