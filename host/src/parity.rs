//! Compares two evaluation records: exactly, or, for records of different arithmetic, by the drop in IoU of each class.

use serde::Serialize;
use unet_shared::digest::Digest;
use unet_shared::record::{EvaluationRecord, FrameRecord};

/// Reads the digest of a stage from a record.
type StageDigest = fn(&FrameRecord) -> Digest;

/// The stages of a frame in their order.
const STAGES: [(&str, StageDigest); 6] = [
    ("decoded pixels", |f| f.pixels),
    ("encoded label", |f| f.label),
    ("preprocessed bytes", |f| f.input),
    ("logits", |f| f.logits),
    ("mask", |f| f.mask),
    ("prediction at the label's size", |f| f.prediction),
];

/// The stages that do not depend on how images are cut.
const STAGES_BEFORE_TILES: usize = 2;

/// A difference between two records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "difference", rename_all = "snake_case")]
pub enum Difference {
    /// They are of different models, splits or classes.
    Subject {
        /// What differs.
        what: String,
        /// In the first record.
        first: String,
        /// In the second record.
        second: String,
    },
    /// A frame is in only one of them.
    Frame {
        /// Its name.
        name: String,
        /// `first` or `second`.
        only_in: String,
    },
    /// A stage of a frame has different bytes.
    Stage {
        /// The frame's name.
        frame: String,
        /// The first stage that differs; later ones follow from it.
        stage: String,
    },
    /// A count of the confusion matrix differs.
    Count {
        /// Name of the true class.
        truth: String,
        /// Name of the predicted class.
        prediction: String,
        /// Pixels in the first record.
        first: u64,
        /// Pixels in the second record.
        second: u64,
    },
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Subject { what, first, second } => write!(f, "{what}: {first} in the first, {second} in the second"),
            Self::Frame { name, only_in } => write!(f, "frame {name} is only in the {only_in} record"),
            Self::Stage { frame, stage } => write!(f, "frame {frame}: {stage} differ"),
            Self::Count { truth, prediction, first, second } => {
                write!(f, "pixels of {truth} predicted as {prediction}: {first} in the first, {second} in the second")
            }
        }
    }
}

/// Result of an exact comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Parity {
    /// Number of frames in both records.
    pub frames: usize,
    /// Whether every integer is equal.
    pub equal: bool,
    /// All differences: subjects first, then frames in order, then counts.
    pub differences: Vec<Difference>,
}

/// Compares every integer of two records. Names of datasets are ignored: the folder may have another name on a board, and the
/// frames' digests cover its content.
pub fn compare(first: &EvaluationRecord, second: &EvaluationRecord) -> Parity {
    let mut differences = subjects(first, second);
    if first.engine != second.engine && first.model != second.model {
        let (first, second) = (first.engine.clone(), second.engine.clone());
        differences.push(Difference::Subject { what: "engine".to_owned(), first, second });
    }
    if first.model != second.model {
        let (first, second) = (first.model.to_string(), second.model.to_string());
        differences.push(Difference::Subject { what: "sha256 of the model".to_owned(), first, second });
    }
    // Other tiles give every later stage other bytes; these alone can be compared.
    let stages = if first.tiles == second.tiles { &STAGES[..] } else { &STAGES[..STAGES_BEFORE_TILES] };
    let mut frames = 0;
    for a in &first.frames {
        let Some(b) = second.frames.iter().find(|b| b.name == a.name) else {
            differences.push(Difference::Frame { name: a.name.clone(), only_in: "first".to_owned() });
            continue;
        };
        frames += 1;
        if (a.width, a.height) != (b.width, b.height) {
            let what = format!("size of frame {}", a.name);
            let (first, second) = (format!("{}x{}", a.width, a.height), format!("{}x{}", b.width, b.height));
            differences.push(Difference::Subject { what, first, second });
        }
        if let Some((stage, _)) = stages.iter().find(|(_, digest)| digest(a) != digest(b)) {
            differences.push(Difference::Stage { frame: a.name.clone(), stage: (*stage).to_owned() });
        }
    }
    for b in second.frames.iter().filter(|b| first.frames.iter().all(|a| a.name != b.name)) {
        differences.push(Difference::Frame { name: b.name.clone(), only_in: "second".to_owned() });
    }
    let classes = first.confusion.classes();
    if classes == second.confusion.classes() {
        let name = |class: usize| first.classes.get(class).cloned().unwrap_or_else(|| class.to_string());
        for (cell, (&a, &b)) in first.confusion.counts().iter().zip(second.confusion.counts()).enumerate() {
            if a != b {
                let (truth, prediction) = (name(cell / classes), name(cell % classes));
                differences.push(Difference::Count { truth, prediction, first: a, second: b });
            }
        }
    }
    Parity { frames, equal: differences.is_empty(), differences }
}

fn subjects(first: &EvaluationRecord, second: &EvaluationRecord) -> Vec<Difference> {
    let pairs = [
        ("split", first.split.clone(), second.split.clone()),
        ("classes", first.classes.join(", "), second.classes.join(", ")),
        ("tiles", tiles(first), tiles(second)),
        ("number of classes", first.confusion.classes().to_string(), second.confusion.classes().to_string()),
    ];
    let differing = pairs.into_iter().filter(|(_, a, b)| a != b);
    differing.map(|(what, first, second)| Difference::Subject { what: what.to_owned(), first, second }).collect()
}

/// How images were cut.
fn tiles(record: &EvaluationRecord) -> String {
    record.tiles.map_or_else(|| "none, images whole".to_owned(), |tiles| tiles.to_string())
}

/// IoU of one class, or the mean, in two records.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Drop {
    /// Name of the class.
    pub class: String,
    /// IoU in the first record; none if the class does not occur.
    pub first: Option<f64>,
    /// IoU in the second record.
    pub second: Option<f64>,
    /// First minus second.
    pub drop: Option<f64>,
    /// Whether the drop is at most the maximum.
    pub within: bool,
}

/// Result of a comparison by IoU.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DropReport {
    /// Maximum drop allowed.
    pub max_drop: f64,
    /// Whether the data are the same and no class, nor the mean, drops by more.
    pub within: bool,
    /// Whether the drops say anything: whether the data are the same.
    pub judged: bool,
    /// Each class, then the mean.
    pub classes: Vec<Drop>,
    /// How the data differ; if they do, drops are meaningless.
    pub differences: Vec<Difference>,
}

/// Compares the IoU of `second` with that of `first`, whose arithmetic is more exact, on the same data.
pub fn compare_within(first: &EvaluationRecord, second: &EvaluationRecord, max_drop: f64) -> DropReport {
    let mut differences = subjects(first, second);
    // Frames and labels must be the same, nothing else.
    let labels = |record: &EvaluationRecord| -> Vec<(String, Digest)> {
        record.frames.iter().map(|f| (f.name.clone(), f.label)).collect()
    };
    if labels(first) != labels(second) {
        let (first, second) = (first.frames.len().to_string(), second.frames.len().to_string());
        differences.push(Difference::Subject { what: "frames and labels".to_owned(), first, second });
    }
    let row = |class: String, first: Option<f64>, second: Option<f64>| {
        let drop = first.zip(second).map(|(first, second)| first - second);
        // A class that occurs in only one of them counts as 0 in the other.
        let lost = first.unwrap_or(0.0) - second.unwrap_or(0.0);
        Drop { class, first, second, drop, within: lost <= max_drop }
    };
    let (a, b) = (&first.confusion, &second.confusion);
    let mut classes: Vec<Drop> = Vec::new();
    // Numbers of different classes say nothing about each other.
    if first.classes == second.classes {
        let named = first.classes.iter().enumerate();
        classes.extend(named.map(|(class, name)| row(name.clone(), a.iou(class), b.iou(class))));
        classes.push(row("mean".to_owned(), a.mean_iou(), b.mean_iou()));
    }
    let within = differences.is_empty() && classes.iter().all(|c| c.within);
    DropReport { max_drop, within, judged: differences.is_empty(), classes, differences }
}

#[cfg(test)]
mod tests {
    use unet_shared::metrics::OwnedConfusion;
    use unet_shared::record::{RECORD_VERSION, Timing};

    use super::*;

    fn record() -> EvaluationRecord {
        let digest = |text: &str| Digest::of(text.as_bytes());
        let frame = |name: &str| FrameRecord {
            name: name.to_owned(),
            width: 4,
            height: 2,
            pixels: digest("pixels"),
            label: digest("label"),
            input: digest("input"),
            logits: digest("logits"),
            mask: digest("mask"),
            prediction: digest("prediction"),
            milliseconds: 1.0,
        };
        EvaluationRecord {
            version: RECORD_VERSION,
            program: "p".to_owned(),
            engine: "e".to_owned(),
            machine: "m".to_owned(),
            model: digest("model"),
            package: None,
            dataset: "d".to_owned(),
            split: "val".to_owned(),
            classes: vec!["sky".to_owned(), "road".to_owned()],
            tiles: None,
            frames: vec![frame("a"), frame("b")],
            confusion: OwnedConfusion::from_counts(vec![6, 2, 1, 7], 2).unwrap(),
            timing: Timing::default(),
        }
    }

    #[test]
    fn times_and_programs_are_not_compared() {
        let mut other = record();
        other.frames[0].milliseconds = 99.0;
        other.program = "another".to_owned();
        let parity = compare(&record(), &other);
        assert!(parity.equal && parity.frames == 2, "{parity:?}");
    }

    #[test]
    fn the_first_stage_that_differs_is_named() {
        let mut other = record();
        other.frames[1].logits = Digest::of(b"other");
        other.frames[1].mask = Digest::of(b"other");
        let parity = compare(&record(), &other);
        let stage = Difference::Stage { frame: "b".to_owned(), stage: "logits".to_owned() };
        assert_eq!(parity.differences, [stage]);
        assert!(!parity.equal);
    }

    #[test]
    fn records_with_and_without_tiles_say_so_and_nothing_that_follows_from_it() {
        let mut other = record();
        other.tiles = Some("512,64".parse().unwrap());
        other.frames[0].input = Digest::of(b"other");
        let texts: Vec<String> = compare(&record(), &other).differences.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["tiles: none, images whole in the first, 512x512,64 in the second"]);
        let report = compare_within(&record(), &other, 1.0);
        assert!(!report.within && !report.judged);
        other.frames[0].label = Digest::of(b"other");
        assert_eq!(compare(&record(), &other).differences.len(), 2);
    }

    #[test]
    fn a_missing_frame_and_a_count_are_differences() {
        let mut other = record();
        other.frames.remove(0);
        other.confusion = OwnedConfusion::from_counts(vec![6, 2, 2, 6], 2).unwrap();
        let texts: Vec<String> = compare(&record(), &other).differences.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "frame a is only in the first record",
                "pixels of road predicted as sky: 1 in the first, 2 in the second",
                "pixels of road predicted as road: 7 in the first, 6 in the second",
            ]
        );
    }

    #[test]
    fn each_class_and_the_mean_must_stay_within_the_drop() {
        let mut other = record();
        // IoU of sky falls from 6/9 to 5/9, of road from 7/10 to 7/11.
        other.confusion = OwnedConfusion::from_counts(vec![5, 3, 1, 7], 2).unwrap();
        let report = compare_within(&record(), &other, 0.10);
        assert!(!report.within && report.judged);
        assert_eq!(report.classes.iter().map(|c| c.within).collect::<Vec<_>>(), [false, true, true]);
        assert!(compare_within(&record(), &other, 0.12).within);
        // A gain is not a drop.
        assert!(compare_within(&other, &record(), 0.0).within);
    }

    #[test]
    fn another_engine_with_another_model_is_named() {
        let mut other = record();
        other.engine = "integer int8".to_owned();
        // One model gives equal numbers in each engine.
        assert!(compare(&record(), &other).equal);
        other.model = Digest::of(b"other");
        let texts: Vec<String> = compare(&record(), &other).differences.iter().map(ToString::to_string).collect();
        assert_eq!(texts[0], "engine: e in the first, integer int8 in the second");
        assert_eq!(texts.len(), 2);
    }

    #[test]
    fn other_labels_make_a_drop_meaningless() {
        let mut other = record();
        other.frames[0].label = Digest::of(b"other");
        assert!(!compare_within(&record(), &other, 1.0).within);
    }
}
