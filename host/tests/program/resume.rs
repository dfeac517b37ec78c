//! A run that is killed and taken up again ends with the numbers of one that was not.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use unet_host::training::checkpoint::TIMING_COLUMNS;

use crate::{expect, host, synthetic, text};

const EPOCHS: &str = "4";

/// results.csv without the columns that hold times.
pub fn results(run: &Path) -> Vec<Vec<String>> {
    let csv = std::fs::read_to_string(run.join("results.csv")).unwrap();
    let rows: Vec<Vec<String>> = csv.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect();
    let kept: Vec<usize> =
        (0..rows[0].len()).filter(|&column| !TIMING_COLUMNS.contains(&rows[0][column].as_str())).collect();
    rows.iter().map(|row| kept.iter().map(|&column| row[column].clone()).collect()).collect()
}

fn arguments<'a>(data: &'a Path, runs: &'a Path, name: &'a str) -> Vec<&'a str> {
    let shape = ["--base", "4", "--depth", "2", "--epochs", EPOCHS, "--batch", "2", "--schedule", "plateau"];
    [&["train", text(data), "--runs", text(runs), "--name", name, "--flips", "both"], &shape[..]].concat()
}

#[test]
fn a_run_killed_in_the_middle_of_an_epoch_ends_with_the_same_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let data = synthetic(folder.path(), 40, 6);
    let runs = folder.path().join("runs");
    expect(0, &arguments(&data, &runs, "whole"));

    let killed = runs.join("killed");
    let mut child =
        host().args(arguments(&data, &runs, "killed")).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // Until the second epoch is done, then a little into the third.
    let begin = Instant::now();
    let lines = || std::fs::read_to_string(killed.join("results.csv")).map_or(0, |csv| csv.lines().count());
    while lines() < 3 {
        assert!(begin.elapsed() < Duration::from_secs(300), "no second epoch within five minutes");
        assert!(child.try_wait().unwrap().is_none(), "the run ended before it could be killed");
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(30));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(lines() < 5, "the run ended before it was killed");
    expect(0, &["train", "--resume", text(&killed)]);

    assert_eq!(results(&killed), results(&runs.join("whole")));
    let logits = |run: &Path| -> Vec<serde_json::Value> {
        let record = std::fs::read_to_string(run.join("record_f32.json")).unwrap();
        let record: serde_json::Value = serde_json::from_str(&record).unwrap();
        record["frames"].as_array().unwrap().iter().map(|frame| frame["logits"].clone()).collect()
    };
    assert_eq!(logits(&killed), logits(&runs.join("whole")));
    assert_eq!(logits(&killed).len(), 6);
    for weights in ["weights/best.bpk", "weights/last.bpk"] {
        let bytes = |run: &Path| std::fs::read(run.join(weights)).unwrap();
        assert!(bytes(&killed) == bytes(&runs.join("whole")), "{weights} differ");
    }

    // A run that has ended stays as it is; one that was killed before its last line was written gets it back.
    let before = results(&killed);
    let csv = std::fs::read_to_string(killed.join("results.csv")).unwrap();
    let cut: String = csv.lines().take(4).map(|line| format!("{line}\n")).collect();
    std::fs::write(killed.join("results.csv"), cut).unwrap();
    expect(0, &["train", "--resume", text(&killed)]);
    assert_eq!(results(&killed), before);

    // A checkpoint whose bytes changed is refused.
    let weights = killed.join(format!("weights/epoch-{EPOCHS}.bpk"));
    let mut bytes = std::fs::read(&weights).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    let (_, err) = expect(2, &["train", "--resume", text(&killed)]);
    assert!(err.contains("damaged"), "{err}");

    // Changed data would not lead to the same numbers.
    let image = data.join("train/images/0000.png");
    std::fs::copy(data.join("train/images/0001.png"), image).unwrap();
    let (_, err) = expect(2, &["train", "--resume", text(&runs.join("whole"))]);
    assert!(err.contains("data set has changed"), "{err}");
}
