//! Series of runs by seeds and by folds, and the table and the page that compare runs.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::resume::{kill_after, results};
use crate::{expect, parse, synthetic, text};

const SHAPE: [&str; 6] = ["--base", "4", "--depth", "2", "--batch", "2"];

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("expected a number, found {value}"))
}

#[test]
fn a_killed_series_of_seeds_goes_on_to_the_same_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let data = synthetic(folder.path(), 40, 6);
    let runs = folder.path().join("runs");
    let common = [&["train", text(&data), "--runs", text(&runs), "--epochs", "3"], &SHAPE[..]].concat();
    let series = [&common[..], &["--name", "s", "--seed", "4", "--seeds", "2"]].concat();
    kill_after(2, &series, &runs.join("s-seed5"));
    let first = runs.join("s-seed4/weights/best.bpk");
    let written = std::fs::metadata(&first).unwrap().modified().unwrap();
    // What a process that is killed while it makes a run leaves behind.
    std::fs::create_dir_all(runs.join("s-seed6/weights")).unwrap();
    std::fs::write(runs.join("s-seed6/.dataset.json.1.0.tmp"), b"{").unwrap();

    let longer = [&common[..], &["--name", "s", "--seed", "4", "--seeds", "3", "--json"]].concat();
    let (out, err) = expect(0, &longer);
    assert!(err.contains("s-seed4: finished, kept"), "{err}");
    assert!(err.contains("s-seed5: resumed after 2 of 3 epochs"), "{err}");
    assert_eq!(std::fs::metadata(&first).unwrap().modified().unwrap(), written);
    let whole = [&common[..], &["--name", "whole", "--seed", "5"]].concat();
    expect(0, &whole);
    assert_eq!(results(&runs.join("s-seed5")), results(&runs.join("whole")));

    let report = parse(&out);
    let best: Vec<f64> = report["runs"].as_array().unwrap().iter().map(|run| number(&run["best_mean_iou"])).collect();
    assert_eq!(best.len(), 3);
    let mean = best.iter().sum::<f64>() / 3.0;
    assert!((number(&report["best_mean_iou"]["mean"]) - mean).abs() < 1e-12, "{report}");
    let squares: f64 = best.iter().map(|score| (score - mean).powi(2)).sum();
    let deviation = number(&report["best_mean_iou"]["standard_deviation"]);
    assert!((deviation - (squares / 2.0).sqrt()).abs() < 1e-12, "{report}");
    assert_eq!(report["class_iou"].as_array().unwrap().len(), report["classes"].as_array().unwrap().len());

    // Finished: nothing is trained, and the closing table is the same.
    let (out, err) = expect(0, &longer[..longer.len() - 1]);
    assert_eq!(err.matches("finished, kept").count(), 3, "{err}");
    assert!(out.contains("3 seeds") && out.contains("deviation") && out.contains("IoU of disc"), "{out}");
    assert!(out.contains(&format!("{mean:.4}")), "{out}");

    // Another recipe under the same name is refused before anything is trained.
    let other = [&series[..], &["--learning-rate", "0.01"]].concat();
    let (_, err) = expect(2, &other);
    assert!(err.contains("training.learning_rate is 0.002 there, 0.01 here"), "{err}");
    for (extra, expected) in [
        (&["--seeds", "2", "--folds", "2"][..], "cannot be used with"),
        (&["--seeds", "0"], "--seeds: expected 1 to 1000, found 0"),
        (
            &["--seeds", "2", "--seed", "18446744073709551615"],
            "--seed: expected at most 18446744073709551614 for 2 seeds",
        ),
    ] {
        let (_, err) = expect(2, &[&common[..], &["--name", "t"], extra].concat());
        assert!(err.contains(expected), "{extra:?}: {err}");
    }
    assert!(!runs.join("t-seed0").exists());
}

#[test]
fn folds_validate_each_image_once_and_runs_and_packages_keep_their_fold() {
    let folder = tempfile::tempdir().unwrap();
    let data = synthetic(folder.path(), 7, 4);
    let runs = folder.path().join("runs");
    let common = [&["train", text(&data), "--runs", text(&runs), "--name", "s", "--epochs", "1"], &SHAPE[..]].concat();
    let (_, err) = expect(2, &[&common[..], &["--folds", "12"]].concat());
    assert!(err.contains("expected at most 11 folds"), "{err}");
    let (_, err) = expect(2, &[&common[..], &["--folds", "3", "--val-ratio", "0.5"]].concat());
    assert!(err.contains("cannot be used with"), "{err}");
    assert!(!runs.exists());

    // A name that is taken is refused before the first fold is trained.
    std::fs::create_dir_all(runs.join("s-fold3/other")).unwrap();
    let (_, err) = expect(2, &[&common[..], &["--folds", "3"]].concat());
    assert!(err.contains("s-fold3: already exists and is not a run directory"), "{err}");
    std::fs::remove_dir_all(runs.join("s-fold3")).unwrap();
    assert!(!runs.join("s-fold1").exists());

    let (out, err) = expect(0, &[&common[..], &["--folds", "3", "--json"]].concat());
    assert!(err.contains("fold 2/3: 4 of 11 pairs are used for validation"), "{err}");
    let merged = &parse(&out)["merged"];
    assert_eq!(merged["images"], 11);
    let counts = |confusion: &Value| confusion["counts"].as_array().unwrap().iter().map(number).collect::<Vec<_>>();
    let mut sum = vec![0.0; counts(&merged["confusion"]).len()];
    let mut names = BTreeSet::new();
    for index in 1..=3 {
        let run = runs.join(format!("s-fold{index}"));
        let config = std::fs::read_to_string(run.join("config.toml")).unwrap();
        assert!(config.contains(&format!("fold = \"{index}/3\"\n")), "{config}");
        // The same split when the run is opened again.
        let record = parse(&expect(0, &["val", text(&run), "--json"]).0);
        for (sum, count) in sum.iter_mut().zip(counts(&record["confusion"])) {
            *sum += count;
        }
        for frame in record["frames"].as_array().unwrap() {
            assert!(names.insert(frame["name"].as_str().unwrap().to_owned()), "{}: validated twice", frame["name"]);
        }
    }
    assert_eq!((names.len(), sum), (11, counts(&merged["confusion"])));
    assert!(names.contains("train/0003") && names.contains("val/0003"), "{names:?}");
    expect(0, &["train", "--resume", text(&runs.join("s-fold2"))]);

    let (run, package) = (runs.join("s-fold3"), folder.path().join("fold.unet"));
    for verb in
        [&["export", text(&run)][..], &["quantize", text(&run)], &["package", text(&run), "--output", text(&package)]]
    {
        expect(0, verb);
    }
    let frames = |arguments: &[&str]| {
        let record = parse(&expect(0, &[&["val", "--json"], arguments].concat()).0);
        record["frames"].as_array().unwrap().iter().map(|frame| frame["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(frames(&[text(&package), "--data", text(&data)]), frames(&[text(&run)]));

    let (out, _) = expect(0, &["runs", text(&runs)]);
    let line = out.lines().find(|line| line.contains("3 folds")).unwrap();
    assert!(line.ends_with(&format!("{:.4}", number(&merged["mean_iou"]))), "{out}");
}

#[test]
fn runs_are_compared_in_a_table_and_on_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let data = synthetic(folder.path(), 4, 2);
    let runs = folder.path().join("runs");
    let train = |extra: &[&str]| {
        expect(0, &[&["train", text(&data), "--runs", text(&runs), "--epochs", "2"], &SHAPE[..], extra].concat());
    };
    train(&["--name", "a", "--seeds", "2"]);
    train(&["--name", "b", "--loss", "dice", "--augment", "photo"]);
    std::fs::create_dir(runs.join("empty")).unwrap();
    std::fs::create_dir(runs.join("broken")).unwrap();
    std::fs::write(runs.join("broken/config.toml"), "seed = [").unwrap();
    std::fs::write(runs.join("notes.txt"), "not a folder").unwrap();
    let page = folder.path().join("all.html");
    let (out, _) = expect(0, &["runs", text(&runs), "--report", text(&page)]);
    assert!(out.contains("3 runs") && out.contains("2 folders left out:"), "{out}");
    for expected in
        ["a-seed0", "a-seed1", "broken/config.toml", "empty: expected the folder", "2/2", "finished", "loss", "dice"]
    {
        assert!(out.contains(expected), "{expected} is missing: {out}");
    }
    assert!(!out.contains("learning rate"), "only what differs: {out}");
    assert!(out.contains("a       2 seeds  2 of 2"), "{out}");
    let html = std::fs::read_to_string(&page).unwrap();
    for expected in ["a-seed1, epoch 2: ", "Mean IoU on validation images", "Folders that were left out"] {
        assert!(html.contains(expected), "{expected} is missing");
    }

    let report = parse(&expect(0, &["runs", text(&runs), "--json"]).0);
    let csv = |run: &str, column: usize| results(&runs.join(run))[2][column].parse::<f64>().unwrap();
    for (place, name) in ["a-seed0", "a-seed1", "b"].into_iter().enumerate() {
        let run = &report["runs"][place];
        assert_eq!((run["name"].as_str(), run["state"].as_str()), (Some(name), Some("finished")));
        assert_eq!((number(&run["last_mean_iou"]), number(&run["best_mean_iou"])), (csv(name, 3), csv(name, 4)));
    }
    assert_eq!(report["series"][0]["runs"].as_array().unwrap().len(), 2);
    assert_eq!(report["unreadable"].as_array().unwrap().len(), 2);

    // A seed counts once, however many runs have it.
    train(&["--name", "c", "--seed", "1"]);
    train(&["--name", "b2", "--loss", "dice", "--augment", "photo"]);
    let report = parse(&expect(0, &["runs", text(&runs), "--json"]).0);
    assert_eq!(report["series"].as_array().unwrap().len(), 1, "{report}");
    let series = &report["series"][0];
    assert_eq!((&series["name"], &series["repeated"][0], &series["trained"]), (&"a".into(), &"c".into(), &2.into()));
    assert_eq!(series["best_mean_iou"]["count"], 2);
    let (out, _) = expect(0, &["runs", text(&runs)]);
    assert!(out.contains("2 seeds (1 run repeats one)  2 of 2"), "{out}");

    // One run alone, and paths without runs.
    let (out, _) = expect(0, &["runs", text(&runs.join("b"))]);
    assert!(out.contains("1 run\n"), "{out}");
    let missing: &Path = &runs.join("missing");
    for (code, arguments, expected) in [
        (2, vec!["runs", text(missing)], "missing"),
        (2, vec!["runs", text(&data.join("val/images"))], "expected folders of runs, found none"),
        (4, vec!["runs", text(&runs), "--report", "/dev/null/all.html"], "all.html"),
    ] {
        let (_, err) = expect(code, &arguments);
        assert!(err.contains(expected), "{arguments:?}: {err}");
    }
}
