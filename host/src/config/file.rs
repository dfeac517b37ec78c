//! Reading `config.toml`: every key is known, and an error names its line.

use std::collections::BTreeSet;

use toml::de::{DeTable, DeValue};
use unet_data::toml_problem;

use super::RunConfig;

/// What is wrong with the file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFault {
    /// The line, counted from 1, if one is to blame.
    pub line: Option<usize>,
    /// What is wrong with it.
    pub problem: String,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Whole,
    Number,
    Boolean,
    List,
}

impl Kind {
    fn expected(self) -> &'static str {
        match self {
            Kind::Text => "text in quotes",
            Kind::Whole => "a whole number of at least 0",
            Kind::Number => "a number",
            Kind::Boolean => "true or false",
            Kind::List => "a list",
        }
    }

    fn fits(self, value: &DeValue<'_>) -> bool {
        match value {
            DeValue::String(_) => self == Kind::Text,
            DeValue::Integer(number) => {
                self == Kind::Number || self == Kind::Whole && !number.as_str().starts_with('-')
            }
            DeValue::Float(_) => self == Kind::Number,
            DeValue::Boolean(_) => self == Kind::Boolean,
            DeValue::Array(_) => self == Kind::List,
            _ => false,
        }
    }
}

/// A key that the file may have.
struct Key {
    path: &'static str,
    kind: Kind,
    is_required: bool,
}

const fn required(path: &'static str, kind: Kind) -> Key {
    Key { path, kind, is_required: true }
}

const fn optional(path: &'static str, kind: Kind) -> Key {
    Key { path, kind, is_required: false }
}

/// Every key that this version and earlier ones write. One that is no longer written stays, so that old runs can be read.
const KEYS: &[Key] = &[
    required("name", Kind::Text),
    required("code_version", Kind::Text),
    required("data", Kind::Text),
    required("val_ratio", Kind::Number),
    required("split_seed", Kind::Whole),
    optional("stacks", Kind::Text),
    optional("fold", Kind::Text),
    optional("skip_unreadable", Kind::Boolean),
    optional("images", Kind::Text),
    optional("masks", Kind::Text),
    optional("suffix", Kind::Text),
    required("seed", Kind::Whole),
    required("backend", Kind::Text),
    optional("tiles", Kind::Text),
    required("preprocess.width", Kind::Whole),
    required("preprocess.height", Kind::Whole),
    required("preprocess.channels", Kind::Text),
    required("preprocess.fit", Kind::Text),
    required("preprocess.filter", Kind::Text),
    required("preprocess.normalize", Kind::Text),
    optional("preprocess.normalize.mean_std.mean", Kind::List),
    optional("preprocess.normalize.mean_std.std", Kind::List),
    required("preprocess.fill", Kind::Whole),
    optional("preprocess.samples.range", Kind::List),
    optional("preprocess.samples.bands", Kind::List),
    required("model.base", Kind::Whole),
    required("model.depth", Kind::Whole),
    required("model.channels", Kind::Whole),
    required("model.classes", Kind::Whole),
    required("model.upsampling", Kind::Text),
    optional("model.widths", Kind::List),
    optional("model.skips", Kind::Text),
    optional("model.decoder_convolutions", Kind::Whole),
    optional("model.blocks", Kind::Text),
    optional("model.stem", Kind::Whole),
    required("training.epochs", Kind::Whole),
    required("training.batch", Kind::Whole),
    required("training.learning_rate", Kind::Number),
    required("training.schedule", Kind::Text),
    optional("training.optimizer", Kind::Text),
    optional("training.weight_decay", Kind::Number),
    optional("training.decayed", Kind::Text),
    optional("training.clip_gradient", Kind::Number),
    optional("training.accumulate", Kind::Whole),
    optional("training.ema", Kind::Number),
    optional("training.freeze_norms", Kind::Number),
    optional("training.frozen_from", Kind::Whole),
    optional("training.patience", Kind::Whole),
    optional("training.loss", Kind::Text),
    optional("training.label_smoothing", Kind::Number),
    required("training.class_weights", Kind::List),
    required("training.flips.horizontal", Kind::Boolean),
    required("training.flips.vertical", Kind::Boolean),
    optional("training.augment", Kind::List),
    optional("training.class_pixels", Kind::List),
    required("training.workers", Kind::Whole),
    required("training.cache_bytes", Kind::Whole),
    optional("initial.from", Kind::Text),
    optional("initial.weights", Kind::Text),
];

/// Parses the file's text.
///
/// # Errors
/// Names the first line that is not valid TOML, has a key that no version knows or a value of another kind, or the first key that
/// is missing.
pub fn parse(text: &str) -> Result<RunConfig, ConfigFault> {
    let line = |start: usize| Some(text[..start].matches('\n').count() + 1);
    let by_parser = |error: toml::de::Error| {
        let line = error.span().filter(|span| !span.is_empty()).and_then(|span| line(span.start));
        ConfigFault { line, problem: error.message().trim_end().to_owned() }
    };
    let table = DeTable::parse(text).map_err(|error| {
        let number = error.span().and_then(|span| line(span.start.min(text.len())));
        let shown = number.and_then(|number| text.lines().nth(number - 1)).unwrap_or_default();
        ConfigFault { line: number, problem: toml_problem(shown, error.message()) }
    })?;
    let mut found = vec![];
    check(text, "", table.get_ref(), &mut found)
        .map_err(|(start, problem)| ConfigFault { line: line(start), problem })?;
    if let Some(missing) = KEYS.iter().find(|key| key.is_required && !found.iter().any(|path| path == key.path)) {
        return Err(ConfigFault { line: None, problem: format!("the key {} is missing; restore it", missing.path) });
    }
    toml::from_str(text).map_err(by_parser)
}

/// Checks the keys of one table, whose path is `above`, and those of all tables in it. An error has its place in the text.
fn check(text: &str, above: &str, table: &DeTable<'_>, found: &mut Vec<String>) -> Result<(), (usize, String)> {
    for (key, value) in table.iter() {
        let (name, start) = (key.get_ref(), key.span().start);
        let path = if above.is_empty() { name.to_string() } else { format!("{above}.{name}") };
        let below = format!("{path}.");
        let known = KEYS.iter().find(|key| key.path == path);
        match value.get_ref().as_table() {
            Some(inner) if KEYS.iter().any(|key| key.path.starts_with(&below)) => check(text, &path, inner, found)?,
            _ => match known {
                Some(key) if !key.kind.fits(value.get_ref()) => {
                    let shown = text[value.span()].lines().next().unwrap_or_default();
                    return Err((start, format!("{name} = {shown}: expected {}", key.kind.expected())));
                }
                Some(_) => {}
                None if KEYS.iter().any(|key| key.path.starts_with(&below)) => {
                    return Err((start, format!("{name}: expected a table, [{path}]")));
                }
                None => return Err((start, unknown(above, name))),
            },
        }
        found.push(path);
    }
    Ok(())
}

/// The message for a key that no version knows.
fn unknown(above: &str, name: &str) -> String {
    let names: BTreeSet<&str> = KEYS
        .iter()
        .filter_map(
            |key| if above.is_empty() { Some(key.path) } else { key.path.strip_prefix(above)?.strip_prefix('.') },
        )
        .map(|path| path.split_once('.').map_or(path, |(table, _)| table))
        .collect();
    let place = if above.is_empty() { String::new() } else { format!(" in [{above}]") };
    let names = names.into_iter().collect::<Vec<_>>().join(", ");
    format!("unknown key {name}{place}; remove it, or correct it to one of: {names}")
}

#[cfg(test)]
mod tests {
    use unet_shared::digest::Digest;
    use unet_shared::manifest::StackSplit;
    use unet_shared::preprocess::{Normalize, Preprocess};
    use unet_shared::samples::{Bands, Range, SampleReading};

    use super::super::settings::settings;
    use super::super::{FolderOptions, InitialWeights, TrainingConfig};
    use super::*;
    use crate::backend::Backend;
    use crate::dataset::augment::{Augmentation, Flips, OperationKind};
    use crate::dataset::loader::LoaderConfig;
    use crate::model::{Blocks, Skips, Stem, UNetConfig};
    use crate::training::loss::{Loss, LossConfig};
    use crate::training::optimizer::{Decayed, OptimizerConfig, OptimizerKind};
    use crate::training::schedule::ScheduleKind;

    /// A configuration whose file has every key. Each structure is written out, so that a new field is not forgotten here.
    fn full() -> RunConfig {
        let text = || Some("a".to_owned());
        RunConfig {
            name: "a".to_owned(),
            code_version: "0".to_owned(),
            data: "/data".into(),
            val_ratio: 0.5,
            split_seed: 1,
            stacks: StackSplit::Whole,
            fold: Some("1/5".parse().unwrap()),
            skip_unreadable: true,
            folders: FolderOptions { images: text(), masks: text(), suffix: text() },
            seed: 3,
            backend: Backend::default(),
            tiles: Some("512,64".parse().unwrap()),
            preprocess: Preprocess {
                normalize: Normalize::MeanStd { mean: [0.5; 3], std: [1.0; 3] },
                samples: SampleReading {
                    range: Some(Range::new(0.0, 10.0).unwrap()),
                    bands: Some(Bands::Gray([2.try_into().unwrap()])),
                },
                ..Preprocess::CLASSIC
            },
            model: UNetConfig {
                widths: vec![8, 16],
                skips: Skips::Add,
                decoder_convolutions: 1,
                blocks: Blocks::Separable,
                stem: Stem::Half,
                ..UNetConfig::default()
            }
            .with_listed_widths(),
            training: TrainingConfig {
                epochs: 2,
                batch: 1,
                learning_rate: 0.1,
                schedule: ScheduleKind::Cosine,
                optimizer: OptimizerConfig {
                    kind: OptimizerKind::Sgd,
                    weight_decay: Some(0.1),
                    decayed: Decayed::Weights,
                    clip_gradient: Some(1.0),
                    accumulate: 2,
                    ema: 0.5,
                },
                freeze_norms: 0.25,
                frozen_from: Some(2),
                patience: Some(3),
                loss: LossConfig { function: Loss::of_new_runs(), label_smoothing: 0.1 },
                class_weights: vec![1.0, 2.0],
                augmentation: Augmentation {
                    flips: Flips::BOTH,
                    augment: vec![OperationKind::Zoom],
                    class_pixels: vec![1, 2],
                },
                loader: LoaderConfig { workers: 1, cache_bytes: 0 },
            },
            initial: Some(InitialWeights { from: "b".into(), weights: Digest::of(b"c") }),
        }
    }

    fn fault(text: &str) -> String {
        let ConfigFault { line, problem } = parse(text).unwrap_err();
        line.map_or(problem.clone(), |line| format!("{line}: {problem}"))
    }

    #[test]
    fn every_key_that_is_written_is_known() {
        let config = full();
        assert_eq!(parse(&toml::to_string(&config).unwrap()).unwrap(), config);
        let written = settings(&config);
        let known = KEYS.iter().map(|key| key.path).filter(|path| *path != "preprocess.normalize");
        assert_eq!(written.keys().map(String::as_str).collect::<BTreeSet<_>>(), known.collect());
    }

    #[test]
    fn an_error_names_its_line_and_key() {
        let text = toml::to_string(&full()).unwrap();
        let line = |of: &str| text.lines().position(|line| line.starts_with(of)).unwrap() + 1;
        let with = |from: &str, to: &str| fault(&text.replacen(from, to, 1));
        for (from, to, expected) in [
            ("base = ", "base = \"x\" #", "base = \"x\": expected a whole number of at least 0"),
            ("epochs = ", "epochs = -1 #", "epochs = -1: expected a whole number of at least 0"),
            ("ema = ", "ema = true #", "ema = true: expected a number"),
            ("augment = ", "augment = \"zoom\" #", "augment = \"zoom\": expected a list"),
            ("skip_unreadable = ", "skip_unreadable = 1 #", "skip_unreadable = 1: expected true or false"),
            (
                "base = ",
                "bsae = ",
                "unknown key bsae in [model]; remove it, or correct it to one of: base, blocks, channels, ",
            ),
            ("ema = ", "emma = ", "unknown key emma in [training]; remove it, or correct it to one of: accumulate, "),
            ("split_seed = ", "sed = ", "unknown key sed; remove it, or correct it to one of: backend, "),
            (
                "horizontal = ",
                "x = ",
                "unknown key x in [training.flips]; remove it, or correct it to one of: horizontal,",
            ),
            ("fit = ", "fit = \"round\" #", "unknown variant `round`, expected one of"),
            ("name = ", "name = = ", "`name = = \"a\"` is not valid TOML: "),
            ("name = \"a\"", "name =", "name has no value"),
        ] {
            let expected = format!("{}: {expected}", line(from));
            assert!(with(from, to).starts_with(&expected), "{expected}\n{}", with(from, to));
        }
        let without: String =
            text.lines().filter(|line| !line.starts_with("base = ")).map(|l| format!("{l}\n")).collect();
        assert_eq!(fault(&without), "the key model.base is missing; restore it");
        assert!(
            with("[model]", "[network]").contains("unknown key network; remove it"),
            "{}",
            with("[model]", "[network]")
        );
    }
}
