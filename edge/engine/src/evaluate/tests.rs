use std::path::Path;

use super::*;
use crate::inference::Engine;
use crate::segmenter::Int8Segmenter;
use unet_test_support::tiny_package;

/// Writes a gray PNG of `size` with `value(x, y)`.
fn write_png(path: &Path, size: [u32; 2], value: impl Fn(u32, u32) -> u8) {
    image::GrayImage::from_fn(size[0], size[1], |x, y| image::Luma([value(x, y)])).save(path).unwrap();
}

/// A sample of 16x16: left half bright, and a label that says so, but for `wrong` pixels of the first column.
fn sample(folder: &Path, name: &str, wrong: u32) -> Sample {
    let (image, label) = (folder.join(format!("{name}.png")), folder.join(format!("{name}_mask.png")));
    write_png(&image, [16, 16], |x, _| if x < 8 { 200 } else { 10 });
    write_png(&label, [16, 16], |x, y| if x < 8 && !(x == 0 && y < wrong) { 226 } else { 29 });
    Sample { name: name.to_owned(), image, page: None, label: Some(label.into()) }
}

fn predictor() -> Predictor<Int8Segmenter> {
    let engine = Engine::from_onnx(&tiny_package::model(), &tiny_package::input(), &tiny_package::output()).unwrap();
    let spec = tiny_package::preprocess();
    Predictor::new(Int8Segmenter::new(engine, &spec), spec).unwrap()
}

fn meta() -> RecordMeta {
    RecordMeta {
        program: "test".to_owned(),
        machine: "here".to_owned(),
        model: Digest::of(b"model"),
        package: None,
        dataset: "data".to_owned(),
        split: "val".to_owned(),
        classes: vec!["dark".to_owned(), "bright".to_owned()],
    }
}

fn run(samples: &[Sample]) -> Result<EvaluationRecord, EvaluateError> {
    let labels = tiny_package::parts().0.label_table().unwrap();
    evaluate(samples, &labels, &mut predictor(), meta(), &mut |_, _| {})
}

#[test]
fn counts_are_the_ones_that_a_person_counts() {
    let folder = tempfile::tempdir().unwrap();
    let record = run(&[sample(folder.path(), "a", 0), sample(folder.path(), "b", 4)]).unwrap();
    // Two frames of 128 dark and 128 bright pixels; four bright predictions of the second are dark in its label.
    assert_eq!(record.confusion.counts(), [256, 4, 0, 252]);
    assert_eq!(record.confusion.iou(0), Some(256.0 / 260.0));
    assert_eq!(record.frames.len(), 2);
    assert_eq!(record.timing.frames, 2);
    assert_eq!(record.engine, "integer int8");
    let [a, b] = record.frames.as_slice() else { panic!("two frames") };
    assert_eq!((a.width, a.height), (16, 16));
    assert_eq!((a.pixels, a.input, a.logits, a.mask), (b.pixels, b.input, b.logits, b.mask));
    assert_ne!(a.label, b.label);
    let pixels: Vec<u8> = (0..256).map(|index| if index % 16 < 8 { 200 } else { 10 }).collect();
    assert_eq!(a.pixels, Digest::of(&pixels));
    assert_eq!(a.input, a.pixels, "an image of the model's size passes preprocessing as it is");
    assert_eq!(a.logits, Digest::of(&tiny_package::logits_of(&pixels)));
    assert_eq!(a.mask, Digest::of(&tiny_package::mask_of(&pixels)));
}

#[test]
fn counts_are_taken_at_the_labels_own_size() {
    let folder = tempfile::tempdir().unwrap();
    let (image, label) = (folder.path().join("a.png"), folder.path().join("a_mask.png"));
    write_png(&image, [64, 32], |x, _| if x < 32 { 200 } else { 10 });
    write_png(&label, [64, 32], |x, _| if x < 32 { 226 } else { 29 });
    let record = run(&[Sample { name: "a".to_owned(), image, page: None, label: Some(label.into()) }]).unwrap();
    assert_eq!(record.confusion.counts(), [1024, 0, 0, 1024]);
    assert_ne!(record.frames[0].mask, record.frames[0].prediction);
}

#[test]
fn progress_counts_up_to_the_number_of_samples() {
    let folder = tempfile::tempdir().unwrap();
    let samples = [sample(folder.path(), "a", 0), sample(folder.path(), "b", 0)];
    let labels = tiny_package::parts().0.label_table().unwrap();
    let mut seen = Vec::new();
    evaluate(&samples, &labels, &mut predictor(), meta(), &mut |done, all| seen.push((done, all))).unwrap();
    assert_eq!(seen, [(1, 2), (2, 2)]);
}

#[test]
fn failures_name_the_sample() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(run(&[]).unwrap_err(), EvaluateError::NoSamples { .. }));

    let mut broken = sample(folder.path(), "broken", 0);
    std::fs::write(&broken.image, b"no image").unwrap();
    let error = run(&[sample(folder.path(), "good", 0), broken.clone()]).unwrap_err();
    assert!(error.to_string().contains("broken"), "{error}");
    assert!(error.with_remedy().ends_with("; --skip-unreadable leaves the pair out"), "{}", error.with_remedy());

    broken.label = None;
    assert!(run(&[broken]).unwrap_err().to_string().contains("broken"));

    let unknown = sample(folder.path(), "unknown", 0);
    write_png(unknown.label.as_ref().unwrap().path(), [16, 16], |_, _| 77);
    let error = run(&[unknown]).unwrap_err().with_remedy();
    assert!(!error.contains("--skip-unreadable"), "{error}");
    assert!(error.starts_with("image unknown: mask ") && error.contains("label value 77 at column 0"), "{error}");
}

#[test]
fn a_model_of_other_classes_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let values = [29, 76, 226].map(unet_shared::label::LabelValue::Gray);
    let labels = LabelTable::from_sorted(values).unwrap();
    let samples = [sample(folder.path(), "a", 0)];
    let error = evaluate(&samples, &labels, &mut predictor(), meta(), &mut |_, _| {}).unwrap_err();
    assert_eq!(error.to_string(), "classes: the dataset has 3, model has 2");
}

/// Keeps what it sees, and fails at the frame of a name.
#[derive(Default)]
struct Seen {
    logits: Vec<u8>,
    frames: Vec<(String, (usize, usize), Vec<u64>)>,
    fails_at: &'static str,
}

impl FrameObserver for Seen {
    fn segmented(&mut self, tile: &Tile, placement: Placement, logits: Option<Logits<'_>>) -> Result<(), Source> {
        assert_eq!((tile.image, placement.width), ((16, 16), 16));
        let Some(Logits::Quantized { values, scale }) = logits else { panic!("int8 logits") };
        assert_eq!(scale, tiny_package::output().quantization.scale);
        self.logits = values.to_vec();
        Ok(())
    }

    fn scored(&mut self, frame: &ScoredFrame<'_>) -> Result<(), Source> {
        if frame.name == self.fails_at {
            return Err("as asked for".into());
        }
        self.frames.push((frame.name.to_owned(), frame.size, frame.confusion.counts().to_vec()));
        Ok(())
    }
}

#[test]
fn an_observer_sees_the_logits_and_counts_of_each_frame() {
    let folder = tempfile::tempdir().unwrap();
    let samples = [sample(folder.path(), "a", 0), sample(folder.path(), "b", 4)];
    let labels = tiny_package::parts().0.label_table().unwrap();
    let evaluate =
        |seen: &mut Seen| evaluate_observed(&samples, &labels, &mut predictor(), meta(), Some(seen), &mut |_, _| {});
    let mut seen = Seen::default();
    let record = evaluate(&mut seen).unwrap();
    let frame = |name: &str, counts: [u64; 4]| (name.to_owned(), (16, 16), counts.to_vec());
    assert_eq!(seen.frames, [frame("a", [128, 0, 0, 128]), frame("b", [128, 4, 0, 124])]);
    assert_eq!(Digest::of(&seen.logits), record.frames[1].logits);
    assert_eq!(record.confusion, run(&samples).unwrap().confusion);

    let error = evaluate(&mut Seen { fails_at: "b", ..Seen::default() }).unwrap_err();
    assert_eq!(error.to_string(), "image b: failed to assess the prediction");
}
