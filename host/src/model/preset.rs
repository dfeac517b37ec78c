//! Networks with names: from the cheapest to the most accurate, as found by training candidates alike (`host/ACCURACY.md`).

use serde::Serialize;

use super::{Blocks, Skips, Stem, UNetConfig, Upsampling};

/// A network with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// For the smallest boards
    Nano,
    /// Most accurate for its multiply-accumulates
    Small,
    /// Most accurate for its time on cores with dot products
    Base,
    /// The plain U-Net, at the image's size
    Large,
}

impl Preset {
    /// All of them, the cheapest first.
    pub const ALL: [Self; 4] = [Self::Nano, Self::Small, Self::Base, Self::Large];

    /// The network, without what the dataset decides.
    pub fn network(self) -> UNetConfig {
        let lean = |blocks, widths: &[usize]| {
            UNetConfig {
                widths: widths.to_vec(),
                upsampling: Upsampling::UpConvolution,
                skips: Skips::Add,
                decoder_convolutions: 1,
                blocks,
                stem: Stem::Half,
                ..UNetConfig::default()
            }
            .with_listed_widths()
        };
        match self {
            Self::Nano => lean(Blocks::Separable, &[16, 32, 64, 128, 256]),
            Self::Small => lean(Blocks::Separable, &[32, 64, 128, 256, 384]),
            Self::Base => lean(Blocks::Plain, &[16, 48, 96, 192, 256]),
            Self::Large => UNetConfig::default(),
        }
    }
}

/// A preset in place of the flags that describe a network one by one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct PresetOption {
    /// Network with a name, in place of --base, --depth and the flags of its parts; `unet-host models` lists what each costs
    #[arg(long = "model", value_name = "NAME", value_enum, conflicts_with_all = NETWORK_FLAGS)]
    pub preset: Option<Preset>,
}

/// The ids of the flags that a preset decides.
const NETWORK_FLAGS: [&str; 8] =
    ["base", "depth", "widths", "upsampling", "skips", "decoder_convolutions", "blocks", "stem"];

impl PresetOption {
    /// The preset's network, or the one that the flags describe.
    pub fn network(self, described: UNetConfig) -> UNetConfig {
        self.preset.map_or(described.with_listed_widths(), Preset::network)
    }
}

#[cfg(test)]
mod tests {
    use clap::Args as _;

    use super::*;

    #[test]
    fn a_preset_decides_all_that_describes_a_network() {
        let flags = UNetConfig::augment_args(clap::Command::new("flags"));
        let ids: Vec<&str> = flags.get_arguments().map(|argument| argument.get_id().as_str()).collect();
        assert_eq!(ids.len(), NETWORK_FLAGS.len(), "{ids:?}");
        assert!(NETWORK_FLAGS.iter().all(|flag| ids.contains(flag)), "{ids:?}");
    }

    #[test]
    fn presets_are_valid_and_each_costs_more_than_the_one_before() {
        let costs = Preset::ALL.map(|preset| {
            let network = preset.network();
            assert_eq!(network.validate(), Ok(()), "{preset:?}");
            network.layers().multiply_accumulates(512, 512)
        });
        assert!(costs.is_sorted_by(|a, b| a < b), "{costs:?}");
        assert_eq!(Preset::Large.network(), UNetConfig::default());
        // One eighth of the plain network.
        assert!(8 * costs[1] <= costs[3], "{costs:?}");
    }

    #[test]
    fn flags_describe_the_network_where_there_is_no_preset() {
        let described = UNetConfig { base: 5, ..UNetConfig::default() };
        assert_eq!(PresetOption::default().network(described.clone()), described);
        assert_eq!(PresetOption { preset: Some(Preset::Nano) }.network(described), Preset::Nano.network());
    }
}
