use unet_shared::preprocess::Normalize;

use super::*;
use unet_test_support::tiny_package;

fn segmenter(spec: &Preprocess) -> Int8Segmenter {
    let engine = Engine::from_onnx(&tiny_package::model(), &tiny_package::input(), &tiny_package::output()).unwrap();
    Int8Segmenter::new(engine, spec)
}

#[test]
fn pixels_above_the_threshold_are_class_1_and_a_tie_is_class_0() {
    let mut segmenter = segmenter(&tiny_package::preprocess());
    let planes: Vec<u8> = (0..=255).collect();
    let mut mask = vec![9; 256];
    segmenter.segment(&planes, &mut mask).unwrap();
    assert_eq!(mask, tiny_package::mask_of(&planes));
    assert_eq!((mask[128], mask[129]), (0, 1));
    assert_eq!(segmenter.logits_digest().unwrap(), Digest::of(&tiny_package::logits_of(&planes)));
    assert_eq!((segmenter.engine(), segmenter.classes()), ("integer int8".to_owned(), 2));
}

#[test]
fn other_normalisations_go_through_a_table() {
    let mut spec = tiny_package::preprocess();
    // (v / 255 - 0) / 0.5 in steps of 1 / 255 doubles every value, up to 255.
    spec.normalize = Normalize::MeanStd { mean: [0.0; 3], std: [0.5; 3] };
    let mut segmenter = segmenter(&spec);
    let planes = vec![100; 256];
    assert_eq!(segmenter.quantize(&planes).unwrap(), [200; 256]);
    let mut mask = vec![0; 256];
    segmenter.segment(&planes, &mut mask).unwrap();
    assert_eq!(mask, [1; 256]);
    assert_eq!(segmenter.logits_digest().unwrap(), Digest::of(&tiny_package::logits_of(&[200; 256])));
    assert_eq!(segmenter.quantize(&[200; 256]).unwrap(), [255; 256]);
}

#[test]
fn wrong_sizes_are_errors() {
    let mut segmenter = segmenter(&tiny_package::preprocess());
    let error = segmenter.segment(&[0; 255], &mut [0; 256]).unwrap_err();
    assert_eq!(error.0.to_string(), "preprocessed planes: expected 256 bytes, found 255");
    let error = segmenter.segment(&[0; 256], &mut [0; 4]).unwrap_err();
    assert_eq!(error.0.to_string(), "mask: expected 256 bytes, found 4");
}
