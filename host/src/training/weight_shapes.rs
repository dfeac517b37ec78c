//! The shapes of the tensors in a weight file, and how they differ from those of a network that they do not fit.

use std::collections::HashMap;
use std::path::Path;

use burn_pack::Reader;

use crate::model::Network;
use crate::model::named_tensors::sides;

/// Names and shapes of tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightShapes(Vec<(String, Vec<usize>)>);

impl WeightShapes {
    /// Those of a weight file; `None` if it cannot be read.
    pub fn of_file(path: &Path) -> Option<Self> {
        let tensors = Reader::from_file_exact(path).and_then(Reader::into_tensors).ok()?;
        Some(Self(tensors.into_iter().map(|tensor| (tensor.name, tensor.shape.to_vec())).collect()))
    }

    /// Those of a network, in the order of its layers.
    pub fn of_network(network: &Network) -> Self {
        Self(network.named_tensors().shapes)
    }

    /// Why a file of these shapes does not fit a network of the shapes `needed`, which `config.toml` describes, and which of its
    /// keys would make it fit. `None` if it fits.
    pub fn misfit(&self, needed: &Self) -> Option<String> {
        let [there, wanted] = [self, needed].map(|shapes| {
            shapes.0.iter().map(|(name, shape)| (name.as_str(), shape.as_slice())).collect::<HashMap<_, _>>()
        });
        let mut differences = needed.0.iter().filter_map(|(name, shape)| match there.get(name.as_str()) {
            Some(found) if found == shape => None,
            Some(found) => Some(format!("{name} is {} there, config.toml needs {}", sides(found), sides(shape))),
            None => Some(format!("config.toml needs {name}, which is not in it")),
        });
        let mut surplus = self.0.iter().filter(|(name, _)| !wanted.contains_key(name.as_str()));
        let first = differences
            .next()
            .or_else(|| surplus.next().map(|(name, _)| format!("it has {name}, which config.toml has no place for")))?;
        let more = differences.count() + surplus.count();
        let more = if more > 0 {
            format!("; so {} {more} more", if more == 1 { "does" } else { "do" })
        } else {
            String::new()
        };
        let keys = self.keys().into_iter().zip(needed.keys());
        let restore: Vec<String> = keys
            .filter(|(there, here)| there != here)
            .map(|((key, there), (_, here))| format!("{key} = {there} instead of {here}"))
            .collect();
        let remedy = if restore.is_empty() {
            "the file is of another network".to_owned()
        } else {
            format!("restore {} in config.toml", restore.join(", "))
        };
        Some(format!("{first}{more}; {remedy}"))
    }

    /// The keys of a configuration that decide the shapes, with their values, derived from the shapes of a U-Net; 0 for one that
    /// cannot be derived.
    fn keys(&self) -> [(&'static str, String); 6] {
        let shape = |name: &str| self.0.iter().find(|(other, _)| other == name).map(|(_, shape)| shape.as_slice());
        let side = |name: &str, axis: usize| shape(name).and_then(|shape| shape.get(axis)).copied().unwrap_or(0);
        let count = |kind: &str, part: &str| {
            (0..).take_while(|number| shape(&format!("{kind}.{number}.{part}")).is_some()).count()
        };
        let halvings = count("stem", "conv.weight");
        let first = if halvings > 0 { "stem.0.conv.weight" } else { "encoder.0.first.conv.weight" };
        // An up-convolution makes the four pixels of a class at once.
        let logits = side("head.weight", 0) / if halvings > 0 { 4 } else { 1 };
        let upsampling = if side("up.0.conv.weight", 2) == 1 { "\"up_convolution\"" } else { "\"nearest\"" };
        [
            ("base", side("encoder.0.second.conv.weight", 0).to_string()),
            ("depth", count("encoder", "second.conv.weight").to_string()),
            ("channels", side(first, 1).to_string()),
            ("classes", logits.to_string()),
            ("upsampling", upsampling.to_owned()),
            ("stem", (1 << halvings.min(8)).to_string()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::test_device;
    use crate::model::{Stem, UNetConfig, Upsampling};
    use crate::training::checkpoint::weights_bytes;

    #[test]
    fn the_keys_that_differ_are_derived_from_the_shapes() {
        let config = UNetConfig {
            base: 4,
            depth: 2,
            channels: 1,
            classes: 3,
            upsampling: Upsampling::Nearest,
            stem: Stem::Full,
            ..UNetConfig::default()
        };
        let shapes = |config: &UNetConfig| WeightShapes::of_network(&config.init(0, &test_device().autodiff()));
        let file = tempfile::NamedTempFile::new().unwrap();
        let network = config.init(0, &test_device().autodiff());
        std::fs::write(file.path(), &*weights_bytes(&network).unwrap()).unwrap();
        let stored = WeightShapes::of_file(file.path()).unwrap();
        assert_eq!(stored.misfit(&shapes(&config)), None);
        for (changed, first, restore) in [
            (
                UNetConfig { base: 8, ..config.clone() },
                "encoder.0.first.conv.weight is 4x1x3x3 there, config.toml needs 8x1x3x3; so do ",
                "restore base = 4 instead of 8 in config.toml",
            ),
            (
                UNetConfig { depth: 3, ..config.clone() },
                "encoder.2.first.conv.weight, which is not in it",
                "restore depth = 2 instead of 3 in config.toml",
            ),
            (
                UNetConfig { upsampling: Upsampling::UpConvolution, classes: 2, ..config.clone() },
                "",
                "restore classes = 3 instead of 2, upsampling = \"nearest\" instead of \"up_convolution\" in config.toml",
            ),
            (UNetConfig { stem: Stem::Quarter, ..config.clone() }, "", "restore stem = 1 instead of 4 in config.toml"),
            (
                UNetConfig { channels: 3, ..config.clone() },
                "4x3x3x3; restore",
                "restore channels = 1 instead of 3 in config.toml",
            ),
        ] {
            let message = stored.misfit(&shapes(&changed)).unwrap();
            assert!(message.contains(first) && message.ends_with(restore), "{message}");
        }
        std::fs::write(file.path(), b"text").unwrap();
        assert_eq!(WeightShapes::of_file(file.path()), None);
    }
}
