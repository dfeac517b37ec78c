//! Bad input: a clear error, a documented exit code, and nothing lost.

use crate::{expect, synthetic, text};

#[test]
fn a_folder_that_is_no_data_set_names_the_layouts_that_are() {
    let folder = tempfile::tempdir().unwrap();
    let (_, err) = expect(2, &["train", text(folder.path())]);
    assert!(err.contains("{train,val[,test]}/{images,masks}"), "{err}");
    let (_, err) = expect(2, &["train", text(&folder.path().join("missing"))]);
    assert!(err.contains("missing"), "{err}");
    expect(2, &["check", text(&folder.path().join("missing"))]);
    expect(2, &["train"]);
}

#[test]
fn options_that_do_not_fit_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let data = synthetic(folder.path(), 4, 2);
    let runs = folder.path().join("runs");
    let with = |extra: &[&str]| {
        let (_, err) = expect(2, &[&["train", text(&data), "--runs", text(&runs)], extra].concat());
        assert!(!runs.exists(), "a refused run leaves no folder");
        err
    };
    assert!(with(&["--size", "60x64"]).contains("multiples of 16"));
    assert!(with(&["--size", "0x0"]).contains("found 0x0"));
    assert!(with(&["--size", "96x64", "--stem", "4"]).contains("multiples of 64 (2^depth times the stem)"));
    assert!(with(&["--stem", "3"]).contains("possible values: 1, 2, 4"));
    assert!(with(&["--base", "0"]).contains("base channels"));
    assert!(with(&["--depth", "70"]).contains("depth"));
    assert!(with(&["--epochs", "0"]).contains("at least 1"));
    assert!(with(&["--learning-rate", "-1"]).contains("learning rate"));
    assert!(with(&["--class-weights", "1,2"]).contains("expected 5 class weights"));
    assert!(with(&["--mean", "0.5", "--std", "0"]).contains("standard deviation"));
    assert!(with(&["--val-ratio", "2"]).contains("ratio"));
    assert!(with(&["--name", "../up"]).contains("--name"));
}

#[test]
fn a_backend_that_is_not_built_in_ends_with_its_own_code() {
    let folder = tempfile::tempdir().unwrap();
    let data = synthetic(folder.path(), 4, 2);
    let backend = if cfg!(feature = "wgpu") { "cuda" } else { "wgpu" };
    if cfg!(all(feature = "wgpu", feature = "cuda")) {
        println!("every backend is built in; nothing to refuse");
        return;
    }
    let (_, err) = expect(3, &["train", text(&data), "--backend", backend]);
    assert!(err.contains(&format!("--features {backend}")), "{err}");
}

#[test]
fn a_place_that_cannot_be_written_ends_with_its_own_code() {
    let folder = tempfile::tempdir().unwrap();
    let data = synthetic(folder.path(), 4, 2);
    let file = folder.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let (_, err) = expect(4, &["train", text(&data), "--runs", text(&file.join("runs"))]);
    assert!(err.contains("cannot be written"), "{err}");
}

#[test]
fn other_files_in_place_of_runs_packages_and_records_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file.json");
    std::fs::write(&file, b"{\"version\": 99}").unwrap();
    for verb in ["export", "quantize", "package", "val"] {
        let (_, err) = expect(2, &[verb, text(folder.path())]);
        assert!(err.contains("run"), "{err}");
    }
    let (_, err) = expect(2, &["val", text(&file), "--data", text(folder.path())]);
    assert!(err.contains("file.json"), "{err}");
    let (_, err) = expect(2, &["compare", text(&file), text(&file)]);
    assert!(err.contains("99"), "{err}");
    let (_, err) = expect(2, &["train", "--resume", text(folder.path())]);
    assert!(err.contains("config.toml"), "{err}");
}
