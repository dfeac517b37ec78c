//! Encoding and decoding by hand and as inverses, bounds, and the text form of values.

use std::collections::BTreeSet;
use std::string::ToString;
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::LabelValue::{Gray, Rgb};
use super::*;
use crate::mask::IGNORE_INDEX;

const RED: LabelValue = Rgb([255, 0, 0]);
const BLUE: LabelValue = Rgb([0, 0, 255]);

#[test]
fn grays_sort_before_colours() {
    let mut values = [RED, Gray(300), BLUE, Gray(2)];
    values.sort_unstable();
    assert_eq!(values, [Gray(2), Gray(300), BLUE, RED]);
}

#[test]
fn text_form() {
    for (text, value) in [("0", Gray(0)), ("65535", Gray(65535)), ("#ff0000", RED), ("#0000ff", BLUE)] {
        assert_eq!(text.parse(), Ok(value));
        assert_eq!(value.to_string(), text);
    }
    assert_eq!("#FF0000".parse(), Ok(RED));
    for bad in ["", "-1", "65536", "#", "#ff00", "#ff00000", "#+f0000", "ff0000", "#ff00é"] {
        assert_eq!(bad.parse::<LabelValue>(), Err(ParseLabelValueError), "{bad}");
    }
}

#[cfg(feature = "alloc")]
#[test]
fn serialized_form() {
    let values = [Gray(7), RED];
    let json = serde_json::to_string(&values).unwrap();
    assert_eq!(json, r##"[7,"#ff0000"]"##);
    assert_eq!(serde_json::from_str::<[LabelValue; 2]>(&json).unwrap(), values);
    for bad in ["-1", "65536", "1.5", r#""red""#, "[1]", "null"] {
        let error = serde_json::from_str::<LabelValue>(bad).unwrap_err().to_string();
        assert!(error.contains("expected a number from 0 to 65535 or a colour"), "{bad}: {error}");
    }
}

#[test]
fn encodes_and_decodes_gray_by_hand() {
    let mut table = LabelTable::new();
    assert_eq!(table.push_class(&[Gray(10), Gray(11)]), Ok(0));
    assert_eq!(table.push_class(&[Gray(5)]), Ok(1));
    table.push_value(1, Gray(6)).unwrap();
    table.push_ignore(Gray(200)).unwrap();
    table.push_ignore(Gray(100)).unwrap();
    assert_eq!(table.class_count(), 2);
    assert_eq!(
        [10, 11, 5, 6, 200, 7].map(|v| table.id_of(Gray(v))),
        [Some(0), Some(0), Some(1), Some(1), Some(IGNORE_INDEX), None]
    );
    assert_eq!(
        [0, 1, IGNORE_INDEX, 2].map(|id| table.value_of(id)),
        [Some(Gray(10)), Some(Gray(5)), Some(Gray(200)), None]
    );

    let mut mask = [0; 6];
    table.encode(&LabelView::gray8(&[10, 11, 5, 6, 200, 100], 3, 2).unwrap(), &mut mask).unwrap();
    assert_eq!(mask, [0, 0, 1, 1, 255, 255]);
    let mut back = [0; 6];
    table.decode(&mask, LabelSamplesMut::Gray8(&mut back)).unwrap();
    assert_eq!(back, [10, 10, 5, 5, 200, 200]);
}

#[test]
fn an_unknown_value_is_named_with_its_position() {
    let table = LabelTable::from_sorted([Gray(0), Gray(300), RED]).unwrap();
    let mut mask = [0; 4];
    let check = |label: LabelView<'_>, mask: &mut [u8], value| {
        assert_eq!(table.encode(&label, mask), Err(LabelError::Unknown { value, x: 1, y: 1 }));
    };
    check(LabelView::gray8(&[0, 0, 0, 9], 2, 2).unwrap(), &mut mask, Gray(9));
    check(LabelView::gray16(&[0, 300, 300, 9], 2, 2).unwrap(), &mut mask, Gray(9));
    let rgb = [255, 0, 0, 255, 0, 0, 255, 0, 0, 1, 2, 3];
    check(LabelView::rgb8(&rgb, 2, 2).unwrap(), &mut mask, Rgb([1, 2, 3]));
}

#[test]
fn decoding_names_what_does_not_fit() {
    let table = LabelTable::from_sorted([Gray(0), Gray(300), RED]).unwrap();
    let mut gray = [0; 1];
    let mut decode = |id| table.decode(&[id], LabelSamplesMut::Gray8(&mut gray));
    assert_eq!(decode(0), Ok(()));
    assert_eq!(decode(1), Err(LabelError::NotRepresentable { value: Gray(300) }));
    assert_eq!(decode(2), Err(LabelError::NotRepresentable { value: RED }));
    assert_eq!(decode(3), Err(LabelError::UnknownId { id: 3 }));
    assert_eq!(decode(255), Err(LabelError::UnknownId { id: 255 }));
    let mut rgb = [0; 3];
    assert_eq!(table.decode(&[2], LabelSamplesMut::Rgb8(&mut rgb)), Ok(()));
    assert_eq!(rgb, [255, 0, 0]);
    let not_a_colour = Err(LabelError::NotRepresentable { value: Gray(0) });
    assert_eq!(table.decode(&[0], LabelSamplesMut::Rgb8(&mut rgb)), not_a_colour);
    let length = Err(LabelError::Length { expected: 6, found: 3 });
    assert_eq!(table.decode(&[2, 2], LabelSamplesMut::Rgb8(&mut rgb)), length);
}

#[test]
fn a_view_has_as_many_samples_as_pixels() {
    assert_eq!(LabelView::gray8(&[], 0, 1).err(), Some(LabelError::Size { width: 0, height: 1 }));
    let long = SIDE_MAX + 1;
    assert_eq!(LabelView::gray8(&[], 1, long).err(), Some(LabelError::Size { width: 1, height: long }));
    assert_eq!(LabelView::gray16(&[1], 1, 2).err(), Some(LabelError::Length { expected: 2, found: 1 }));
    assert_eq!(LabelView::rgb8(&[1], 1, 1).err(), Some(LabelError::Length { expected: 3, found: 1 }));
}

#[test]
fn a_failed_push_changes_nothing() {
    let mut table = LabelTable::from_sorted([Gray(1), Gray(2)]).unwrap();
    let duplicate = |value| LabelError::Duplicate { value: Gray(value) };
    assert_eq!(table.push_class(&[]), Err(LabelError::EmptyClass));
    assert_eq!(table.push_class(&[Gray(3), Gray(1)]), Err(duplicate(1)));
    assert_eq!(table.push_class(&[Gray(3), Gray(3)]), Err(duplicate(3)));
    assert_eq!(table.push_ignore(Gray(2)), Err(duplicate(2)));
    assert_eq!(table.push_value(2, Gray(3)), Err(LabelError::UnknownId { id: 2 }));
    assert_eq!(table.push_value(IGNORE_INDEX, Gray(3)), Err(LabelError::UnknownId { id: IGNORE_INDEX }));
    assert_eq!((table.class_count(), table.id_of(Gray(3)), table.value_of(IGNORE_INDEX)), (2, None, None));
    assert_eq!(LabelTable::from_sorted([Gray(1), Gray(1)]).err(), Some(LabelError::NotSorted { value: Gray(1) }));
}

#[test]
fn bounds_are_errors() {
    let mut table = LabelTable::from_sorted((0..255).map(Gray)).unwrap();
    assert_eq!(table.value_of(254), Some(Gray(254)));
    assert_eq!(table.push_class(&[Gray(255)]), Err(LabelError::TooManyClasses));
    for value in 255..VALUES_MAX as u16 {
        table.push_ignore(Gray(value)).unwrap();
    }
    assert_eq!(table.push_ignore(RED), Err(LabelError::TooManyValues));
    let many: Vec<LabelValue> = (0..=VALUES_MAX as u16).map(Gray).collect();
    assert_eq!(LabelTable::new().push_class(&many), Err(LabelError::TooManyValues));
}

proptest! {
    #[test]
    fn gray_encoding_has_an_exact_inverse(samples in prop::collection::vec(0u16..600, 1..80)) {
        let label = LabelView::gray16(&samples, samples.len(), 1).unwrap();
        let values: BTreeSet<u16> = samples.iter().copied().collect();
        let table = LabelTable::from_sorted(values.into_iter().map(Gray)).unwrap();
        let mut mask = vec![0; samples.len()];
        table.encode(&label, &mut mask).unwrap();
        let mut back = vec![0; samples.len()];
        table.decode(&mask, LabelSamplesMut::Gray16(&mut back)).unwrap();
        prop_assert_eq!(back, samples);
    }

    #[test]
    fn colour_encoding_has_an_exact_inverse(
        samples in prop::collection::vec(prop::array::uniform3(0u8..4), 1..60),
        ignored in prop::array::uniform3(0u8..4),
    ) {
        let bytes = samples.as_flattened();
        let label = LabelView::rgb8(bytes, 1, samples.len()).unwrap();
        let classes: BTreeSet<[u8; 3]> = samples.iter().copied().filter(|&value| value != ignored).collect();
        let mut table = LabelTable::from_sorted(classes.into_iter().map(Rgb)).unwrap();
        table.push_ignore(Rgb(ignored)).unwrap();
        let mut mask = vec![0; samples.len()];
        table.encode(&label, &mut mask).unwrap();
        for (&id, &sample) in mask.iter().zip(&samples) {
            prop_assert_eq!(id == IGNORE_INDEX, sample == ignored);
        }
        let mut back = vec![0; bytes.len()];
        table.decode(&mask, LabelSamplesMut::Rgb8(&mut back)).unwrap();
        prop_assert_eq!(back, bytes);
    }

    #[test]
    fn a_mask_survives_values_shared_by_a_class(mask in prop::collection::vec(0u8..3, 1..40)) {
        let mut table = LabelTable::new();
        for id in 0..3 {
            table.push_class(&[Gray(20 - id), Gray(id)]).unwrap();
        }
        let mut label = vec![0; mask.len()];
        table.decode(&mask, LabelSamplesMut::Gray8(&mut label)).unwrap();
        let mut back = vec![9; mask.len()];
        table.encode(&LabelView::gray8(&label, label.len(), 1).unwrap(), &mut back).unwrap();
        prop_assert_eq!(back, mask);
    }
}
