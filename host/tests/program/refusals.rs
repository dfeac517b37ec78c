//! Invalid input: a clear error, a documented exit code, and no file changed.

use crate::{expect, synthetic, text};

#[test]
fn a_folder_that_is_not_a_dataset_names_the_accepted_layouts() {
    let folder = tempfile::tempdir().unwrap();
    let (_, err) = expect(2, &["train", text(folder.path())]);
    assert!(err.contains("{train,val[,test]}/{images,masks}"), "{err}");
    let (_, err) = expect(2, &["train", text(&folder.path().join("missing"))]);
    assert!(err.contains("missing"), "{err}");
    expect(2, &["check", text(&folder.path().join("missing"))]);
    expect(2, &["train"]);
}

#[test]
fn invalid_options_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let data = synthetic(folder.path(), 4, 2);
    let runs = folder.path().join("runs");
    let with = |extra: &[&str]| {
        let (_, err) = expect(2, &[&["train", text(&data), "--runs", text(&runs)], extra].concat());
        assert!(!runs.exists(), "a refused run must leave no folder");
        err
    };
    assert!(with(&["--size", "60x64"]).contains("multiples of 16"));
    assert!(with(&["--size", "0x0"]).contains("found 0x0"));
    assert!(with(&["--size", "96x64", "--stem", "4"]).contains("multiples of 64 (2^depth times the stem)"));
    assert!(with(&["--stem", "3"]).contains("possible values: 1, 2, 4"));
    assert!(with(&["--base", "0"]).contains("base channels"));
    assert!(with(&["--depth", "70"]).contains("depth"));
    assert!(with(&["--epochs", "0"]).contains("epochs: expected 1 to"));
    assert!(with(&["--learning-rate", "-1"]).contains("learning rate"));
    assert!(with(&["--class-weights", "1,2"]).contains("expected 5 class weights"));
    assert!(with(&["--mean", "0.5", "--std", "0"]).contains("standard deviation"));
    assert!(with(&["--val-ratio", "2"]).contains("ratio"));
    assert!(with(&["--name", "../up"]).contains("--name"));
    assert!(with(&["--weight-decay", "0.1"]).contains("--optimizer adamw"));
    assert!(with(&["--optimizer", "adamw", "--weight-decay", "-1"]).contains("weight decay"));
    assert!(with(&["--augment", "zoom,zoom"]).contains("zoom twice"));
    assert!(with(&["--augment", "shear"]).contains("zoom"));
    assert!(with(&["--loss", "mse"]).contains("cross-entropy, dice, focal, tversky, lovasz, boundary, hard-pixels"));
    assert!(with(&["--augment", "photo,blur"]).contains("blur twice"));
    assert!(with(&["--augment", "photo,microscopy"]).contains("at most one preset"));
}

#[test]
fn a_folder_that_exists_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let data = synthetic(folder.path(), 4, 2);
    let runs = folder.path().join("runs");
    std::fs::create_dir_all(runs.join("mine")).unwrap();
    let train =
        |code| expect(code, &["train", text(&data), "--runs", text(&runs), "--name", "mine", "--epochs", "1"]).1;
    let err = train(2);
    assert!(err.contains("already exists and is not a run directory"), "{err}");
    std::fs::remove_dir(runs.join("mine")).unwrap();
    train(0);
    let err = train(2);
    assert!(err.contains("run already exists") && err.contains("--resume"), "{err}");
    // A resumed run keeps its own configuration.
    let (_, err) = expect(2, &["train", "--resume", text(&runs.join("mine")), "--epochs", "5"]);
    assert!(err.contains("'--resume <RUN>' cannot be used with") && err.contains("--epochs"), "{err}");
}

#[test]
fn a_backend_that_is_not_built_in_has_its_own_exit_code() {
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
fn a_failed_write_has_its_own_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let data = synthetic(folder.path(), 4, 2);
    let file = folder.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let (_, err) = expect(4, &["train", text(&data), "--runs", text(&file.join("runs"))]);
    assert!(err.contains("cannot be written"), "{err}");
}

#[test]
fn other_files_than_runs_packages_and_records_are_refused() {
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
