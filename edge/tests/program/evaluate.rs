use unet_shared::record::EvaluationRecord;

use super::*;

#[test]
fn scores_the_validation_split_and_writes_the_record() {
    let fixture = Fixture::new();
    let data = fixture.write_dataset("data");
    let record = fixture.path("record.json");
    let output = unet_edge(&["evaluate", "@", "@", "--output", "@"], &[&fixture.package(), &data, &record]);
    check_exit(&output, 0);
    // 256 dark of 260, 252 bright of 256.
    let text = stdout(&output);
    for part in ["0.9846", "0.9844", "mean IoU 0.9845, pixel accuracy 0.9922, 2 images"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(stderr(&output).contains("2/2 images"));
    let record = EvaluationRecord::from_json(&std::fs::read(&record).unwrap()).unwrap();
    assert_eq!(record.confusion.counts(), [256, 4, 0, 252]);
    assert_eq!(record.split, "val");
    assert_eq!(record.dataset, "data");
    assert_eq!(record.classes, ["dark", "bright"]);
    let names: Vec<_> = record.frames.iter().map(|frame| frame.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn json_is_the_record_and_two_runs_agree_in_all_but_time() {
    let fixture = Fixture::new();
    let data = fixture.write_dataset("data");
    let [first, second] = [(); 2].map(|()| {
        let output = unet_edge(&["evaluate", "@", "@", "--split", "train", "--json"], &[&fixture.package(), &data]);
        check_exit(&output, 0);
        let mut record = EvaluationRecord::from_json(&output.stdout).unwrap();
        record.timing = Default::default();
        record.frames.iter_mut().for_each(|frame| frame.milliseconds = 0.0);
        record
    });
    assert_eq!(first, second);
    assert_eq!(first.split, "train");
}

#[test]
fn data_that_cannot_be_scored_ends_with_2() {
    let fixture = Fixture::new();
    let package = fixture.package();
    let absent = unet_edge(&["evaluate", "@", "@"], &[&package, &fixture.path("absent")]);
    check_failure(&absent, 2, &["absent"]);
    let data = fixture.write_dataset("data");
    let no_test_split = unet_edge(&["evaluate", "@", "@", "--split", "test"], &[&package, &data]);
    check_failure(&no_test_split, 2, &["has no test split; available: train (2 pairs), val (2 pairs)"]);
    check_exit(&unet_edge(&["evaluate", "@", "@", "--split", "other"], &[&package, &data]), 2);
    write_png(&data.join("val/masks/b.png"), |_, _| 77);
    let unknown_value = unet_edge(&["evaluate", "@", "@"], &[&package, &data]);
    check_failure(
        &unknown_value,
        2,
        &["image b", "masks/b.png", "expected 29, 226, found 77", "is this another dataset?"],
    );
    std::fs::write(data.join("val/images/a.png"), b"no picture").unwrap();
    check_failure(
        &unet_edge(&["evaluate", "@", "@"], &[&package, &data]),
        2,
        &["image a", "images/a.png", "; --skip-unreadable leaves the pair out"],
    );
}

#[test]
fn a_record_that_cannot_be_written_ends_with_4() {
    let fixture = Fixture::new();
    let data = fixture.write_dataset("data");
    let output =
        unet_edge(&["evaluate", "@", "@", "--output", "@"], &[&fixture.package(), &data, &fixture.path("no/r.json")]);
    check_failure(&output, 4, &["failed to write", "no/r.json"]);
}
