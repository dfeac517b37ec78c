//! Invalid input: a clear error, a documented exit code, and no file changed.

use crate::{expect, synthetic, text};

#[test]
fn a_folder_that_is_not_a_dataset_names_the_accepted_layouts() {
    let folder = tempfile::tempdir().unwrap();
    let (_, err) = expect(2, &["train", text(folder.path())]);
    assert!(err.contains("{train,val[,test]}/{images,masks}"), "{err}");
    for verb in ["train", "check"] {
        let (_, err) = expect(2, &[verb, text(&folder.path().join("missing"))]);
        assert!(err.contains("missing does not exist"), "{verb}: {err}");
    }
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
    assert!(with(&["--size", "0x0"]).contains("--size: expected 1 to"));
    assert!(with(&["--size", "96x64", "--stem", "4"]).contains("multiples of 64 (2^depth times the stem)"));
    assert!(with(&["--stem", "3"]).contains("possible values: 1, 2, 4"));
    assert!(with(&["--base", "0"]).contains("--base: expected 1 to 1024, found 0"));
    assert!(with(&["--depth", "70"]).contains("depth"));
    assert!(with(&["--epochs", "0"]).contains("epochs: expected 1 to"));
    assert!(with(&["--learning-rate", "-1"]).contains("--learning-rate: expected"));
    assert!(with(&["--loss", "-1*dice"]).contains("expected a positive number before *"));
    assert!(with(&["--seed", "-1"]).contains("--seed: expected a whole number of at least 0, found -1"));
    assert!(with(&["--class-weights", "1,2"]).contains("--class-weights: expected 5 numbers"));
    assert!(with(&["--mean", "0.5", "--std", "0"]).contains("--mean, --std: normalization of channel 1: expected"));
    assert!(with(&["--val-ratio", "2"]).contains("ratio"));
    assert!(with(&["--name", "../up"]).contains("--name"));
    assert!(with(&["--weight-decay", "0.1"]).contains("--optimizer adamw"));
    assert!(with(&["--optimizer", "adamw", "--weight-decay", "-1"]).contains("--weight-decay: expected"));
    assert!(with(&["--augment", "zoom,zoom"]).contains("zoom twice"));
    assert!(with(&["--augment", "shear"]).contains("zoom"));
    assert!(with(&["--loss", "mse"]).contains("cross-entropy, dice, focal, tversky, lovasz, boundary, hard-pixels"));
    assert!(with(&["--augment", "photo,blur"]).contains("blur twice"));
    assert!(with(&["--augment", "photo,microscopy"]).contains("at most one preset"));
    assert!(with(&["--augment", "none,blur"]).contains("--augment none: expected nothing else, found blur"));
    assert!(with(&["--lr", "0.1"]).contains("unexpected argument --lr; did you mean --learning-rate?"));
    assert!(with(&["--out", "x"]).contains("unexpected argument --out; did you mean --runs?"));
}

#[test]
fn errors_that_no_flag_gets_past_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let data = synthetic(folder.path(), 3, 1);
    let runs = folder.path().join("runs");
    let train = |extra: &[&str]| expect(2, &[&["train", text(&data), "--runs", text(&runs)], extra].concat()).1;
    image::GrayImage::new(32, 64).save(data.join("train/images/0001.png")).unwrap();
    let err = train(&[]);
    let expected = "image and mask differ in size: train/images/0001.png, train/masks/0001.png: image 32x64, mask ";
    assert!(err.contains(expected) && err.contains("no option leaves them out"), "{err}");
    let err = train(&["--despite-errors"]);
    assert!(err.contains("--despite-errors does not leave out such pairs: replace the mask, or remove both"), "{err}");
    assert!(!runs.exists());
}

#[test]
fn the_folder_of_the_images_is_no_output() {
    let folder = tempfile::tempdir().unwrap();
    let data = synthetic(folder.path(), 1, 1);
    let (val, images, masks) = (data.join("val"), data.join("val/images"), data.join("val/masks"));
    for (output, expected) in [(&images, "is the folder of the input images"), (&val, "would replace")] {
        let options = ["predict", "run", text(&images), "--truth", text(&masks), "--output", text(output)];
        let (_, err) = expect(2, &options);
        assert!(err.contains(expected), "{err}");
    }
    let (_, err) = expect(2, &["predict", text(&data), text(&images), "--output", text(&folder.path().join("new"))]);
    assert!(err.contains("data is neither a run (no config.toml in it) nor a package"), "{err}");
    assert!(!folder.path().join("new").exists());
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
    let (_, err) = expect(2, &["train", "--resume", text(&runs.join("mine")), "--base", "8"]);
    assert!(
        err.contains("--base is fixed by the run") && err.contains("train a new run: unet-host train DATA --base"),
        "{err}"
    );
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
    let (_, err) = expect(2, &["val", text(folder.path())]);
    assert!(err.contains("is neither a run (no config.toml in it) nor a package"), "{err}");
    let (_, err) = expect(2, &["val", text(&file), "--data", text(folder.path())]);
    assert!(err.contains("file.json"), "{err}");
    let (_, err) = expect(2, &["compare", text(&file), text(&file)]);
    assert!(err.contains("file.json: made by a newer program") && err.contains("99"), "{err}");
    let (_, err) = expect(2, &["val", "runs/a", "data"]);
    assert!(err.contains("unet-host val runs/a --data data"), "{err}");
    let (_, err) = expect(2, &["train", "--resume", text(folder.path())]);
    assert!(err.contains("config.toml"), "{err}");
}

#[test]
fn a_negative_value_is_refused_by_the_name_of_its_flag() {
    let folder = tempfile::tempdir().unwrap();
    let data = synthetic(folder.path(), 4, 2);
    let values = [
        ("--ignore", "-1"),
        ("--ignore", "-1,255"),
        ("--epochs", "-3"),
        ("--learning-rate", "-1"),
        ("--val-ratio", "-0.2"),
        ("--seed", "-1"),
        ("--size", "-5x5"),
        ("--tiles", "-5"),
        ("--bands", "-1"),
        ("--class-weights", "-1,2"),
    ];
    let runs = folder.path().join("runs");
    for (flag, value) in values {
        let (_, err) = expect(2, &["train", text(&data), "--runs", text(&runs), flag, value]);
        assert!(err.contains(flag), "{flag} {value}: {err}");
        assert!(!err.contains("unexpected argument") && !err.contains("-- -"), "{flag} {value}: {err}");
    }
    assert!(!runs.exists());
    let (_, err) = expect(2, &["val", "run", "--tiles", "-5"]);
    assert!(err.contains("--tiles"), "{err}");
    let (_, err) = expect(2, &["check", text(&data), "--bands", "-1"]);
    assert!(err.contains("--bands") && !err.contains("unexpected argument"), "{err}");
}

#[test]
fn the_help_of_size_knows_the_stem() {
    let (out, _) = expect(0, &["train", "--help"]);
    let words = out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("multiples of 2^depth times the stem"), "{out}");
}

#[test]
fn a_run_whose_dataset_moved_says_how_to_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let data = synthetic(folder.path(), 4, 2);
    let runs = folder.path().join("runs");
    expect(0, &["train", text(&data), "--runs", text(&runs), "--base", "2", "--depth", "1", "--epochs", "1"]);
    let (run, moved) = (runs.join("data"), folder.path().join("moved"));
    let val = || expect(0, &["val", text(&run), "--json"]).0;
    let before = crate::parse(&val());
    std::fs::rename(&data, &moved).unwrap();
    for verb in [&["val", text(&run)][..], &["train", "--resume", text(&run)], &["export", text(&run)]] {
        let (_, err) = expect(2, verb);
        assert!(err.contains("the run's dataset does not exist") && err.contains("--data PATH"), "{verb:?}: {err}");
        let saves = format!("save its new path in the run: unet-host train --resume {} --data PATH", text(&run));
        assert!(err.contains(&saves), "{verb:?}: {err}");
    }
    expect(0, &["val", text(&run), "--data", text(&moved)]);
    let config = run.join("config.toml");
    let written = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, written.replace(text(&data), text(&moved))).unwrap();
    assert_eq!(crate::parse(&val())["confusion"], before["confusion"]);
    expect(0, &["train", "--resume", text(&run)]);
}

#[test]
fn errors_about_a_run_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let data = synthetic(folder.path(), 4, 2);
    let runs = folder.path().join("runs");
    expect(0, &["train", text(&data), "--runs", text(&runs), "--base", "2", "--depth", "1", "--epochs", "1"]);
    let run = runs.join("data");
    let refused = |arguments: &[&str], expected: &str| {
        let (_, err) = expect(2, arguments);
        assert!(err.contains(expected), "{arguments:?}: {err}");
    };
    refused(&["quantize", text(&run)], &format!("does not exist; run `unet-host export {}` first", text(&run)));
    refused(&["quantize", text(&run), "--images", "0"], "--images: expected at least 1 calibration image, found 0");
    let pad = ["train", text(&data), "--runs", text(&runs), "--fit", "pad", "--size", "32x32", "--depth", "1"];
    refused(&pad, "0000.png is 64x64, larger than the input, 32x32; choose --fit letterbox or a larger --size");
    refused(&["runs", text(&runs.join("none"))], "none: file or folder does not exist");
    refused(&["val", text(&run), "--split", "test"], "has no test split; available: train (4 pairs), val (2 pairs)");
    refused(&["val", text(&runs.join("none"))], "none does not exist; expected the folder of a run, or a package");
    // Labels of other names.
    let (images, labels, output) = (data.join("val/images"), folder.path().join("labels"), folder.path().join("out"));
    std::fs::create_dir(&labels).unwrap();
    std::fs::copy(data.join("val/masks/0000.png"), labels.join("other.png")).unwrap();
    let predict = ["predict", text(&run), text(&images), "--output", text(&output), "--truth", text(&labels)];
    refused(&predict, "labels/0000.png for ");
    assert!(!output.exists());
    std::fs::copy(labels.join("other.png"), labels.join("0001.png")).unwrap();
    let (_, err) = expect(0, &predict);
    assert!(err.contains("only 1 of 2 images has a mask of the same name"), "{err}");
    // Weights that are gone.
    let best = run.join("weights/best.bpk");
    std::fs::rename(&best, folder.path().join("best.bpk")).unwrap();
    refused(&["val", text(&run)], "best.bpk is missing, though 1 epoch is trained; copy it again");
    std::fs::copy(run.join("weights/epoch-1.optimizer.bpk"), &best).unwrap();
    refused(&["val", text(&run)], "best.bpk is damaged, or not the file that this run wrote: expected sha256 ");
    std::fs::rename(folder.path().join("best.bpk"), &best).unwrap();
    // Files of an export that are damaged or gone.
    expect(0, &["export", text(&run)]);
    let (onnx, note) = (run.join("export/model_f32.onnx"), run.join("export/export.json"));
    let exported = std::fs::read(&onnx).unwrap();
    std::fs::write(&onnx, &exported[..exported.len() / 2]).unwrap();
    let again = format!("; run `unet-host export {}` again", text(&run));
    for verb in [&["val", text(&run), "--engine", "tract-f32"][..], &["quantize", text(&run)]] {
        refused(verb, "export/model_f32.onnx is damaged, or not the file that `unet-host export` wrote");
        refused(verb, &again);
    }
    std::fs::remove_file(&note).unwrap();
    refused(&["quantize", text(&run)], &format!("export.json is missing{again}"));
    // Another network, another input, and a value out of range, in the file.
    let config = run.join("config.toml");
    let written = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, written.replace("base = 2", "base = 4")).unwrap();
    for verb in [&["val", text(&run)][..], &["train", "--resume", text(&run), "--epochs", "2"]] {
        let expected = "encoder.0.first.conv.weight is 2x1x3x3 there, config.toml needs 4x1x3x3";
        refused(verb, expected);
        refused(verb, "restore base = 2 instead of 4 in config.toml");
    }
    std::fs::write(&config, written.replace("width = 64", "width = 128")).unwrap();
    for verb in [&["val", text(&run)][..], &["export", text(&run)], &["train", "--resume", text(&run)]] {
        refused(verb, "config.toml: width is 128, but the run was trained with 64; restore width = 64");
    }
    std::fs::write(&config, written.replace("base = 2", "bsae = 2")).unwrap();
    refused(
        &["val", text(&run)],
        ": unknown key bsae in [model]; remove it, or correct it to one of: base, blocks, channels,",
    );
    std::fs::write(&config, written.replace("freeze_norms = 0.25", "freeze_norms = 2.0")).unwrap();
    refused(&["val", text(&run)], "config.toml: freeze_norms: expected at least 0 and less than 1, found 2");
}

#[test]
fn a_damaged_file_is_left_out_by_the_flag_that_the_error_names() {
    let folder = tempfile::tempdir().unwrap();
    let data = synthetic(folder.path(), 5, 2);
    let runs = folder.path().join("runs");
    let small = ["--runs", text(&runs), "--base", "2", "--depth", "1", "--epochs", "1"];
    let train = |code, extra: &[&str]| expect(code, &[&["train", text(&data)], &small[..], extra].concat()).1;
    let images = std::fs::read_dir(data.join("train/images")).unwrap().map(|entry| entry.unwrap().path());
    let mut images: Vec<_> = images.collect();
    images.sort();
    let only = |flag: &str, err: &str| {
        for other in ["--skip-unreadable", "--despite-errors"] {
            assert_eq!(err.contains(other), other == flag, "{other}: {err}");
        }
    };
    std::fs::write(&images[0], b"damaged").unwrap();
    only("--skip-unreadable", &train(2, &[]));
    std::fs::write(&images[1], b"damaged").unwrap();
    only("--skip-unreadable", &train(2, &[]));
    // Errors that `--despite-errors` cannot get past are reported before the run folder is created.
    let err = train(2, &["--despite-errors"]);
    assert!(err.contains("--skip-unreadable leaves the pair out"), "{err}");
    assert!(!runs.exists());
    let err = train(0, &["--skip-unreadable"]);
    assert!(err.contains("2 of 7 pairs cannot be read and are left out") && err.contains("3 training"), "{err}");
    // An image without a mask, and the damaged ones.
    std::fs::copy(&images[2], data.join("train/images/alone.png")).unwrap();
    let err = train(2, &[]);
    assert!(err.contains("--skip-unreadable and --despite-errors"), "{err}");
    assert!(err.contains("; train --skip-unreadable leaves the pair out"), "{err}");
    assert!(err.contains("train/images/alone.png: expected train/masks/alone.png, found no such file"), "{err}");
    train(0, &["--skip-unreadable", "--despite-errors"]);
}

#[test]
fn findings_after_a_pair_that_is_left_out_name_their_own_files() {
    let folder = tempfile::tempdir().unwrap();
    let data = synthetic(folder.path(), 5, 2);
    let runs = folder.path().join("runs");
    let train = || expect(2, &["train", text(&data), "--runs", text(&runs), "--skip-unreadable"]).1;
    std::fs::write(data.join("train/images/0000.png"), b"damaged").unwrap();
    // The last mask of all has another encoding.
    let last = data.join("val/masks/0001.png");
    let ids = image::open(&last).unwrap().to_luma8();
    let colours = image::RgbImage::from_fn(ids.width(), ids.height(), |x, y| {
        image::Rgb(if ids.get_pixel(x, y).0[0] == 0 { [0, 0, 0] } else { [255, 0, 0] })
    });
    colours.save(&last).unwrap();
    let err = train();
    assert!(err.contains("val/masks/0001.png") && !err.contains("val/masks/0000.png"), "{err}");
    ids.save(&last).unwrap();
    let small = data.join("train/images/0003.png");
    image::GrayImage::new(32, 64).save(&small).unwrap();
    let err = train();
    assert!(err.contains("train/images/0003.png, train/masks/0003.png"), "{err}");
    assert!(!runs.exists());
}

#[test]
fn a_run_remembers_the_pairs_that_were_readable() {
    let folder = tempfile::tempdir().unwrap();
    let data = synthetic(folder.path(), 4, 3);
    for part in ["images", "masks"] {
        std::fs::create_dir_all(data.join("test").join(part)).unwrap();
        for number in 0..3 {
            let name = format!("{part}/000{number}.png");
            std::fs::copy(data.join("val").join(&name), data.join("test").join(&name)).unwrap();
        }
    }
    // Another image than that of the validation split.
    for number in 0..3 {
        let path = data.join(format!("test/images/000{number}.png"));
        image::open(&path).unwrap().adjust_contrast(-40.0).save(&path).unwrap();
    }
    let image = |split: &str, number: u32| data.join(format!("{split}/images/000{number}.png"));
    std::fs::write(image("val", 0), b"damaged").unwrap();
    std::fs::write(image("test", 1), b"damaged").unwrap();
    let (runs, small) = (folder.path().join("runs"), ["--base", "2", "--depth", "1", "--epochs", "1"]);
    let options = ["train", text(&data), "--runs", text(&runs), "--skip-unreadable", "--despite-errors"];
    expect(0, &[&options[..], &small].concat());
    let run = runs.join("data");
    let names = |split: &str, extra: &[&str]| {
        let out = expect(0, &[&["val", text(&run), "--split", split, "--json"], extra].concat()).0;
        let frames = crate::parse(&out)["frames"].as_array().unwrap().clone();
        frames.iter().map(|frame| frame["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("val", &[]), ["0001", "0002"]);
    assert_eq!(names("test", &[]), ["0000", "0002"]);
    // One that is damaged later is an error, unless it is left out on request.
    std::fs::write(image("test", 2), b"damaged").unwrap();
    let (_, err) = expect(2, &["val", text(&run), "--split", "test"]);
    assert!(err.contains("test/images/0002.png") && err.contains("; --skip-unreadable leaves the pair out"), "{err}");
    assert_eq!(names("test", &["--skip-unreadable"]), ["0000"]);
}

#[test]
fn options_are_checked_before_the_dataset_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("absent");
    for (options, expected) in [
        (&["--batch", "0"][..], "batch: expected at least 1"),
        (&["--epochs", "0"], "epochs: expected 1 to"),
        (&["--size", "33x33"], "multiples of 16"),
        (&["--learning-rate", "-1"], "--learning-rate: expected a positive number"),
        (&["--freeze-norms", "1"], "--freeze-norms: expected at least 0 and less than 1, found 1"),
        (&["--ema", "1"], "--ema: expected at least 0 and less than 1, found 1"),
        (&["--depth", "70"], "depth"),
        (&["--patience", "0"], "--patience: expected at least 1, found 0"),
        (&["--name", "a/b"], "--name: expected a folder name"),
        (&["--from", "nowhere"], "nowhere does not exist; expected the folder of a training run"),
    ] {
        let (_, err) = expect(2, &[&["train", text(&absent)], options].concat());
        assert!(err.contains(expected) && !err.contains("absent"), "{options:?}: {err}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_path_that_is_not_unicode_is_refused_where_it_would_be_written() {
    use std::os::unix::ffi::OsStrExt as _;

    let folder = tempfile::tempdir().unwrap();
    let data = crate::synthetic(folder.path(), 4, 2);
    let path = folder.path().join(std::ffi::OsStr::from_bytes(b"runs\xff"));
    std::fs::create_dir_all(path.join("empty")).unwrap();
    let (path, data) = (path.as_os_str(), data.as_os_str());
    let of = |text: &'static str| std::ffi::OsStr::new(text);
    for (arguments, expected) in [
        (&[of("runs"), path, of("--json")][..], "--json: path contains invalid UTF-8 characters"),
        (&[of("train"), data, of("--from"), path], "expected a path that is valid Unicode"),
        (&[of("train"), data, of("--runs"), path], "expected a path that is valid Unicode"),
    ] {
        let output = crate::host().args(arguments).output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {err}");
        assert!(err.contains(expected), "{arguments:?}: {err}");
    }
}
