//! A run that is killed and resumed ends with the same numbers as an uninterrupted one.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use unet_host::training::checkpoint::TIMING_COLUMNS;

use crate::{expect, host, synthetic, text};

const EPOCHS: &str = "4";
/// All operations on images.
pub const OPERATIONS: &str =
    "zoom,quarter-turns,scale,magnify,rotate,shift,elastic,brightness,contrast,gamma,colour,blur,noise,jpeg,cutout";

/// results.csv without the columns of times.
pub fn results(run: &Path) -> Vec<Vec<String>> {
    let csv = std::fs::read_to_string(run.join("results.csv")).unwrap();
    let rows: Vec<Vec<String>> = csv.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect();
    let kept: Vec<usize> =
        (0..rows[0].len()).filter(|&column| !TIMING_COLUMNS.contains(&rows[0][column].as_str())).collect();
    rows.iter().map(|row| kept.iter().map(|&column| row[column].clone()).collect()).collect()
}

/// Trains one run without interruption and one that is killed in its third and in its fourth epoch and resumed, expects equal
/// results, weights and logits, and returns the folder of both runs.
pub fn train_twice(data: &Path, runs: &Path, recipe: &[&str]) -> [PathBuf; 2] {
    let arguments = |name| {
        let shape = ["--base", "4", "--depth", "2", "--epochs", EPOCHS, "--batch", "2"];
        [&["train", text(data), "--runs", text(runs), "--name", name], &shape[..], recipe].concat()
    };
    expect(0, &arguments("whole"));
    let (whole, killed) = (runs.join("whole"), runs.join("killed"));
    kill_after(2, &arguments("killed"), &killed);
    let resume = ["train", "--resume", text(&killed)];
    kill_after(3, &resume, &killed);
    expect(0, &resume);

    assert_eq!(results(&killed), results(&whole));
    assert_eq!(logits(&killed), logits(&whole));
    for weights in ["weights/best.bpk", "weights/last.bpk"] {
        let bytes = |run: &Path| std::fs::read(run.join(weights)).unwrap();
        assert!(bytes(&killed) == bytes(&whole), "{weights} differ");
    }
    [whole, killed]
}

/// Runs the program until a run has that many epochs and a little longer, and kills it in the next one.
pub fn kill_after(epochs: usize, arguments: &[&str], run: &Path) {
    let mut child = host().args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begin = Instant::now();
    while lines(run) <= epochs {
        assert!(begin.elapsed() < Duration::from_secs(300), "no epoch {epochs} within five minutes");
        assert!(child.try_wait().unwrap().is_none(), "the run ended before it could be killed");
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(30));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(lines(run), epochs + 1, "the run was killed in the next epoch");
}

fn lines(run: &Path) -> usize {
    std::fs::read_to_string(run.join("results.csv")).map_or(0, |csv| csv.lines().count())
}

/// Digests of the logits of each validation image.
fn logits(run: &Path) -> Vec<serde_json::Value> {
    let record = crate::parse(&std::fs::read_to_string(run.join("record_f32.json")).unwrap());
    record["frames"].as_array().unwrap().iter().map(|frame| frame["logits"].clone()).collect()
}

#[test]
fn a_run_killed_in_the_middle_of_an_epoch_ends_with_the_same_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let data = synthetic(folder.path(), 40, 6);
    let [whole, killed] =
        train_twice(&data, &folder.path().join("runs"), &["--flips", "both", "--schedule", "plateau"]);
    assert_eq!(logits(&killed).len(), 6);

    // Resuming a finished run changes nothing, and restores a row that was not written before a kill.
    let before = results(&killed);
    let csv = std::fs::read_to_string(killed.join("results.csv")).unwrap();
    let cut: String = csv.lines().take(4).map(|line| format!("{line}\n")).collect();
    std::fs::write(killed.join("results.csv"), cut).unwrap();
    expect(0, &["train", "--resume", text(&killed)]);
    assert_eq!(results(&killed), before);

    // A damaged checkpoint is refused.
    let weights = killed.join(format!("weights/epoch-{EPOCHS}.bpk"));
    let mut bytes = std::fs::read(&weights).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    let (_, err) = expect(2, &["train", "--resume", text(&killed)]);
    assert!(err.contains("damaged"), "{err}");

    // So are damaged best weights, wherever they are used.
    let best = killed.join("weights/best.bpk");
    let mut bytes = std::fs::read(&best).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&best, bytes).unwrap();
    for verb in ["val", "export"] {
        let (_, err) = expect(2, &[verb, text(&killed)]);
        assert!(err.contains("best.bpk is damaged"), "{err}");
    }

    // Changed data would lead to other numbers.
    let image = data.join("train/images/0000.png");
    std::fs::copy(data.join("train/images/0001.png"), image).unwrap();
    let (_, err) = expect(2, &["train", "--resume", text(&whole)]);
    let expected = "dataset has changed since the run was made: it has the same pairs, but files of other content; \
                    modified since: train/images/0000.png; restore it";
    assert!(err.contains(expected), "{err}");
    std::fs::remove_file(data.join("train/masks/0003.png")).unwrap();
    let (_, err) = expect(2, &["train", "--resume", text(&whole)]);
    let expected =
        "40 training pairs when the run was made, 39 now; missing: 0003 (train/images/0003.png has no mask); restore";
    assert!(err.contains(expected), "{err}");
}

#[test]
fn every_other_recipe_is_resumed_to_the_same_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let data = synthetic(folder.path(), 40, 6);
    let recipe =
        ["--optimizer", "adamw", "--weight-decay", "0.1", "--schedule", "poly", "--loss", "dice-cross-entropy"];
    // Killed after the norms are frozen, while the test above kills before.
    let augment = ["--flips", "none", "--augment", OPERATIONS, "--class-weights", "balanced", "--freeze-norms", "0.75"];
    let runs = folder.path().join("runs");
    let steps = ["--accumulate", "3", "--ema", "0.9"];
    let [whole, _] = train_twice(&data, &runs, &[&recipe[..], &augment, &steps].concat());
    let config = std::fs::read_to_string(whole.join("config.toml")).unwrap();
    for line in [
        "optimizer = \"adamw\"",
        "weight_decay = 0.1",
        "loss = \"cross-entropy+dice\"",
        "augment = [\"zoom\", \"quarter",
        "class_pixels = [",
    ] {
        assert!(config.contains(line), "{line} is missing: {config}");
    }

    // 20 batches an epoch are no multiple of three.
    let gradients = ["--optimizer", "sgd", "--clip-gradient", "0.5", "--accumulate", "3", "--ema", "0.9"];
    let rest = ["--schedule", "one-cycle", "--loss", "0.5*lovasz+focal+hard-pixels", "--freeze-norms", "0.75"];
    train_twice(&data, &folder.path().join("second"), &[&gradients[..], &rest].concat());

    // Each of them changes the numbers of the run.
    let shape = ["--base", "4", "--depth", "2", "--epochs", "1", "--batch", "2", "--flips", "none"];
    let first = |name, extra: &[&str]| {
        expect(0, &[&["train", text(&data), "--runs", text(&runs), "--name", name], &shape[..], extra].concat());
        results(&runs.join(name))[1].clone()
    };
    let plain = first("plain", &[]);
    for (name, extra) in
        [("decay", &recipe[..4]), ("poly", &recipe[4..6]), ("dice", &recipe[6..]), ("zoom", &augment[2..4])]
            .into_iter()
            .chain([
                ("sgd", &gradients[..2]),
                ("clip", &gradients[2..4]),
                ("accumulate", &gradients[4..6]),
                ("average", &gradients[6..]),
                ("one-cycle", &rest[..2]),
                ("sum", &rest[2..4]),
            ])
    {
        assert_ne!(first(name, extra), plain, "{extra:?} changed nothing");
    }
}

#[test]
fn a_finished_run_is_made_longer_and_follows_its_dataset() {
    let folder = tempfile::tempdir().unwrap();
    let data = synthetic(folder.path(), 8, 3);
    let (runs, run) = (folder.path().join("runs"), folder.path().join("runs/run"));
    let shape = ["--base", "4", "--depth", "2", "--epochs", "2", "--freeze-norms", "0.5", "--name", "run"];
    expect(0, &[&["train", text(&data), "--runs", text(&runs)], &shape[..]].concat());
    let before = results(&run);
    let resume = |code, extra: &[&str]| expect(code, &[&["train", "--resume", text(&run)], extra].concat()).1;
    let err = resume(2, &["--epochs", "1"]);
    assert!(err.contains("--epochs 1: the run already has 2 epochs; expected 2 or more"), "{err}");

    let moved = folder.path().join("elsewhere");
    std::fs::rename(&data, &moved).unwrap();
    let err = resume(2, &[]);
    assert!(err.contains("does not exist") && err.contains("--data"), "{err}");
    let err = resume(2, &["--data", text(&runs)]);
    assert!(err.contains("runs"), "{err}");
    let err = resume(2, &["--data", text(&data)]);
    assert!(err.contains("data does not exist; --data expects the folder that the dataset was moved to"), "{err}");
    // A run that cannot be continued stays as it was.
    let (config, weights) = (run.join("config.toml"), run.join("weights/epoch-2.bpk"));
    let (written, whole) = (std::fs::read(&config).unwrap(), std::fs::read(&weights).unwrap());
    std::fs::write(&weights, &whole[1..]).unwrap();
    let err = resume(2, &["--epochs", "4", "--data", text(&moved)]);
    assert!(err.contains("epoch-2.bpk is damaged"), "{err}");
    assert!(std::fs::read(&config).unwrap() == written, "config.toml was changed");
    std::fs::write(&weights, whole).unwrap();
    resume(0, &["--epochs", "4", "--data", text(&moved)]);
    let after = results(&run);
    assert_eq!((after.len(), &after[..3]), (5, &before[..]));
    // Frozen in the second of two epochs, and never again different.
    let norms = after[0].iter().position(|name| name == "norms").unwrap();
    assert_eq!(
        after[1..].iter().map(|row| row[norms].as_str()).collect::<Vec<_>>(),
        ["running", "frozen", "frozen", "frozen"]
    );
    // The new path and length are part of the run.
    let err = resume(0, &[]);
    assert!(err.contains("finished, 4 of 4 epochs; --epochs trains it longer"), "{err}");
    assert_eq!(results(&run), after);
    let config = std::fs::read_to_string(config).unwrap();
    assert!(
        config.contains("elsewhere") && config.contains("epochs = 4") && config.contains("frozen_from = 2"),
        "{config}"
    );
}

#[test]
fn a_run_that_patience_ended_says_so_when_it_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let data = synthetic(folder.path(), 4, 2);
    let (runs, run) = (folder.path().join("runs"), folder.path().join("runs/data"));
    // Without a label that counts, no epoch is better than the first.
    for name in ["0000.png", "0001.png"] {
        let ignored = image::GrayImage::from_pixel(64, 64, image::Luma([255]));
        ignored.save(data.join("val/masks").join(name)).unwrap();
    }
    let shape = ["--base", "4", "--depth", "2", "--epochs", "3", "--patience", "1", "--ignore", "255"];
    expect(0, &[&["train", text(&data), "--runs", text(&runs)], &shape[..]].concat());
    let (_, err) = expect(0, &["train", "--resume", text(&run), "--epochs", "9"]);
    assert!(err.contains("stopped early by patience, 2 of 9 epochs; --from "), "{err}");
}

#[test]
fn two_processes_do_not_train_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let data = synthetic(folder.path(), 40, 2);
    let (runs, run) = (folder.path().join("runs"), folder.path().join("runs/run"));
    let arguments = ["train", text(&data), "--runs", text(&runs), "--name", "run", "--base", "4", "--depth", "2"];
    let mut child = host().args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begin = Instant::now();
    while lines(&run) < 2 {
        assert!(begin.elapsed() < Duration::from_secs(300), "no epoch within five minutes");
        std::thread::sleep(Duration::from_millis(5));
    }
    let (_, err) = expect(2, &["train", "--resume", text(&run)]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(err.contains(&format!("in use by another process ({})", child.id())), "{err}");
}

#[test]
fn a_run_starts_from_the_weights_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let data = synthetic(folder.path(), 40, 6);
    let runs = folder.path().join("runs");
    let train = |code, name: &str, extra: &[&str]| {
        let shape = ["--depth", "2", "--batch", "4", "--runs", text(&runs), "--name", name];
        let recipe = ["--loss", "cross-entropy", "--flips", "horizontal"];
        expect(code, &[&["train", text(&data)], &shape[..], &recipe, extra].concat()).1
    };
    let loss = |name: &str| results(&runs.join(name))[1][1].parse::<f64>().unwrap();
    train(0, "source", &["--base", "4", "--epochs", "6"]);
    let source = runs.join("source");
    let err = train(0, "second", &["--base", "4", "--epochs", "1", "--from", text(&source)]);
    assert!(err.contains("initial weights: ") && !err.contains("initial weights: random"), "{err}");
    train(0, "fresh", &["--base", "4", "--epochs", "1"]);
    assert!(loss("second") < 0.7 * loss("fresh"), "{} {}", loss("second"), loss("fresh"));

    // Another number of channels: all but the first convolution.
    let err = train(0, "colour", &["--base", "4", "--epochs", "1", "--channels", "3", "--from", text(&source)]);
    let left: Vec<&str> = err.lines().filter(|line| line.starts_with("initial weights: random ")).collect();
    assert!(left.len() == 1 && left[0].ends_with("(4x1x3x3 there, 4x3x3x3 here)"), "{err}");

    let err = train(2, "wide", &["--base", "8", "--epochs", "1", "--from", text(folder.path())]);
    assert!(err.contains("expected the folder of a training run"), "{err}");
    assert!(!runs.join("wide").exists(), "a refused run leaves no folder");

    // The first weights are a part of the run, which is refused when they are damaged.
    let initial = runs.join("second/weights/initial.bpk");
    let mut bytes = std::fs::read(&initial).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&initial, bytes).unwrap();
    std::fs::remove_file(runs.join("second/checkpoint.json")).unwrap();
    let (_, err) = expect(2, &["train", "--resume", text(&runs.join("second"))]);
    assert!(err.contains("expected checkpoint.json beside results.csv, found none"), "{err}");
    std::fs::remove_file(runs.join("second/results.csv")).unwrap();
    let (_, err) = expect(2, &["train", "--resume", text(&runs.join("second"))]);
    assert!(err.contains("initial.bpk is damaged"), "{err}");
}
