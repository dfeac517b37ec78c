//! Counts and ratios by hand, and merging.

use proptest::prelude::*;

use super::*;

/// truth 0 0 1 1 and one ignored, prediction 0 1 1 1: [[1, 1, 0], [0, 2, 0], [0, 0, 0]].
fn example() -> ConfusionMatrix<[u64; 9]> {
    let mut matrix = ConfusionMatrix::new([99; 9], 3).unwrap();
    matrix.add(&[0, 0, 1, 1, IGNORE_INDEX], &[0, 1, 1, 1, 0]).unwrap();
    matrix
}

#[test]
fn ratios_by_hand() {
    let matrix = example();
    assert_eq!(matrix.counts(), [1, 1, 0, 0, 2, 0, 0, 0, 0]);
    assert_eq!(matrix.total(), 4);
    assert_eq!([0, 1, 2, 3].map(|class| matrix.truth_pixels(class)), [2, 2, 0, 0]);
    assert_eq!([0, 1, 2, 3].map(|class| matrix.predicted_pixels(class)), [1, 3, 0, 0]);
    assert_eq!([0, 1, 2, 3].map(|class| matrix.correct_pixels(class)), [1, 2, 0, 0]);
    assert_eq!(matrix.iou(0), Some(0.5));
    assert_eq!(matrix.iou(1), Some(2.0 / 3.0));
    assert_eq!(matrix.dice(0), Some(2.0 / 3.0));
    assert_eq!(matrix.dice(1), Some(0.8));
    assert_eq!(matrix.mean_iou(), Some((0.5 + 2.0 / 3.0) / 2.0));
    assert_eq!(matrix.pixel_accuracy(), Some(0.75));
}

#[test]
fn an_absent_class_has_no_score() {
    let matrix = example();
    for class in [2, 3, usize::MAX] {
        assert_eq!(matrix.iou(class), None);
        assert_eq!(matrix.dice(class), None);
    }
}

#[test]
fn a_class_only_predicted_scores_zero() {
    let mut matrix = ConfusionMatrix::new([0; 4], 2).unwrap();
    matrix.add(&[0], &[1]).unwrap();
    assert_eq!((matrix.iou(0), matrix.iou(1), matrix.mean_iou()), (Some(0.0), Some(0.0), Some(0.0)));
}

#[test]
fn nothing_counted_has_no_score() {
    let mut matrix = ConfusionMatrix::new([0; 4], 2).unwrap();
    matrix.add(&[IGNORE_INDEX; 3], &[0, 1, 0]).unwrap();
    assert_eq!((matrix.total(), matrix.mean_iou(), matrix.pixel_accuracy()), (0, None, None));
}

#[test]
fn errors_leave_the_counts_alone() {
    let mut matrix = example();
    let before = matrix.clone();
    let check = |matrix: &mut ConfusionMatrix<_>, truth: &[u8], prediction: &[u8], error| {
        assert_eq!(matrix.add(truth, prediction), Err(error));
    };
    check(&mut matrix, &[0, 0], &[0], MetricsError::Length { truth: 2, prediction: 1 });
    check(&mut matrix, &[0, 3], &[0, 0], MetricsError::Id { id: 3, classes: 3, index: 1 });
    check(&mut matrix, &[0, 0], &[0, 3], MetricsError::Id { id: 3, classes: 3, index: 1 });
    check(&mut matrix, &[255], &[255], MetricsError::Id { id: 255, classes: 3, index: 0 });
    let two = ConfusionMatrix::new([0; 4], 2).unwrap();
    assert_eq!(matrix.merge(&two), Err(MetricsError::Merge { expected: 3, found: 2 }));
    assert_eq!(matrix, before);
}

#[test]
fn storage_and_sums_are_checked() {
    assert_eq!(ConfusionMatrix::new([0; 0], 0).err(), Some(MetricsError::Classes { found: 0 }));
    assert_eq!(ConfusionMatrix::new([0; 4], usize::MAX).err(), Some(MetricsError::Classes { found: usize::MAX }));
    assert_eq!(ConfusionMatrix::new([0; 5], 2).err(), Some(MetricsError::Storage { expected: 4, found: 5 }));
    let full = [u64::MAX - 1, 1, 0, 0];
    assert_eq!(ConfusionMatrix::from_counts([u64::MAX, 1, 0, 0], 2).err(), Some(MetricsError::Overflow));
    let mut matrix = ConfusionMatrix::from_counts(full, 2).unwrap();
    assert_eq!(matrix.add(&[1], &[1]), Err(MetricsError::Overflow));
    assert_eq!(matrix.merge(&ConfusionMatrix::from_counts([0, 0, 0, 1], 2).unwrap()), Err(MetricsError::Overflow));
    assert_eq!(matrix.counts(), full);
    assert_eq!(matrix.dice(0), Some(1.0));
}

proptest! {
    #[test]
    fn merging_frames_is_counting_all_at_once(
        pixels in prop::collection::vec((prop_oneof![4 => 0u8..4, 1 => Just(IGNORE_INDEX)], 0u8..4), 1..200),
        cut in 0usize..200,
    ) {
        let truth: std::vec::Vec<u8> = pixels.iter().map(|pixel| pixel.0).collect();
        let prediction: std::vec::Vec<u8> = pixels.iter().map(|pixel| pixel.1).collect();
        let cut = cut % pixels.len();
        let mut whole = ConfusionMatrix::new([0; 16], 4).unwrap();
        whole.add(&truth, &prediction).unwrap();
        let mut first = ConfusionMatrix::new([0; 16], 4).unwrap();
        first.add(&truth[..cut], &prediction[..cut]).unwrap();
        let mut second = ConfusionMatrix::new([0; 16], 4).unwrap();
        second.add(&truth[cut..], &prediction[cut..]).unwrap();
        first.merge(&second).unwrap();
        prop_assert_eq!(&first, &whole);

        for class in 0..4u8 {
            let both = pixels.iter().filter(|&&(t, p)| t == class && p == class).count();
            let either = pixels.iter().filter(|&&(t, p)| t != IGNORE_INDEX && (t == class || p == class)).count();
            let expected = (either > 0).then(|| both as f64 / either as f64);
            prop_assert_eq!(whole.iou(class.into()), expected);
        }
    }
}

#[cfg(feature = "alloc")]
#[test]
fn serialized_form_is_checked_when_it_is_read() {
    use std::string::ToString;

    let mut matrix = OwnedConfusion::zeros(2).unwrap();
    matrix.add(&[0, 1], &[1, 1]).unwrap();
    let json = serde_json::to_string(&matrix).unwrap();
    assert_eq!(json, r#"{"classes":2,"counts":[0,1,0,1]}"#);
    assert_eq!(serde_json::from_str::<OwnedConfusion>(&json).unwrap(), matrix);
    for (bad, expected) in [
        (r#"{"classes":2,"counts":[0,1,0]}"#, "confusion matrix: expected 4 counts, found 3"),
        (r#"{"classes":0,"counts":[]}"#, "confusion matrix: expected 1 to 255 classes, found 0"),
        (
            r#"{"classes":2,"counts":[18446744073709551615,1,0,0]}"#,
            "confusion matrix: the sum of the counts exceeds 64 bits",
        ),
    ] {
        let error = serde_json::from_str::<OwnedConfusion>(bad).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert_eq!(OwnedConfusion::zeros(usize::MAX).err(), Some(MetricsError::Classes { found: usize::MAX }));
}
