//! The demo with all of its steps, on few images and for one epoch.

use crate::{expect, parse, text};

#[test]
fn a_short_demo_ends_in_parity_and_never_deletes_a_folder_that_is_not_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("demo");
    let arguments = ["demo", "--output", text(&output), "--images", "16", "--epochs", "1", "--json"];
    for _ in 0..2 {
        let report = parse(&expect(0, &arguments).0);
        assert_eq!(report["parity_equal"], true, "{report}");
        assert_eq!(report["frames"], 4);
        assert!(std::path::Path::new(report["report"].as_str().unwrap()).is_file());
    }
    // Arguments are checked before the earlier demo is deleted.
    for (flag, value, expected) in [
        ("--images", "0", "--images: expected at least 1, found 0"),
        ("--epochs", "0", "--epochs: expected 1 to 1000000, found 0"),
    ] {
        let (_, err) = expect(2, &["demo", "--output", text(&output), flag, value]);
        assert!(err.contains(expected), "{err}");
        assert!(output.join("runs/demo/report.html").is_file() && output.join("data/train/images").is_dir());
    }
    let mine = folder.path().join("mine");
    std::fs::create_dir(&mine).unwrap();
    std::fs::write(mine.join("thesis.txt"), b"years of work").unwrap();
    let (_, err) = expect(2, &["demo", "--output", text(&mine)]);
    assert!(err.contains("choose another --output"), "{err}");
    assert!(mine.join("thesis.txt").is_file());
}
