//! `bench-train`: its reports, and what it refuses.

use crate::{expect, parse};

/// A network whose step takes milliseconds.
const TINY: &str = "bench-train --base 2 --depth 1 --size 16x8 --batch 3 --channels 3 --classes 5 --steps 4";

/// Runs a command line whose words have no spaces.
fn run(code: i32, line: &str) -> (String, String) {
    expect(code, &line.split(' ').collect::<Vec<_>>())
}

fn report(extra: &str) -> serde_json::Value {
    let (out, err) = run(0, &format!("{TINY} --json {extra}"));
    assert_eq!(out.lines().count(), 1, "expected one line: {out}");
    assert!(err.contains("bench-train 4/4 steps"), "{err}");
    parse(&out)
}

fn numbers(values: &serde_json::Value) -> Vec<f64> {
    values.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

#[test]
fn every_step_has_its_time_and_its_loss() {
    let plain = report("--threads 1");
    let losses = numbers(&plain["losses"]);
    assert_eq!((numbers(&plain["step_s"]).len(), losses.len()), (4, 4));
    assert!(numbers(&plain["step_s"]).iter().all(|&seconds| seconds > 0.0), "{plain}");
    assert!(losses.iter().all(|loss| loss.is_finite() && *loss > 0.0), "{plain}");
    assert_eq!(plain["threads"], 1);
    assert_eq!(plain["network"], "plain");
    assert!(plain["backend"].is_string());
    assert_eq!(cfg!(target_os = "linux"), plain["peak_rss_kib"].as_u64().is_some_and(|kib| kib > 1024));
    assert!(plain.get("parts").is_none(), "without --profile: {plain}");
    // Images and weights are the same in each run; loss, optimizer and network change the losses.
    assert_eq!(numbers(&report("--threads 1")["losses"]), losses);
    for other in ["--network ours", "--loss dice-cross-entropy", "--optimizer adamw"] {
        assert_ne!(numbers(&report(&format!("--threads 1 {other}"))["losses"]), losses, "{other}");
    }
}

#[test]
fn the_parts_of_a_profile_add_up_to_the_step() {
    let report = report("--profile");
    let parts = report["parts"].as_array().unwrap();
    let names: Vec<&str> = parts.iter().map(|part| part["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["target", "forward", "loss", "backward", "optimizer", "rest"]);
    for (step, whole) in numbers(&report["step_s"]).into_iter().enumerate() {
        let sum: f64 = parts.iter().map(|part| numbers(&part["step_s"])[step]).sum();
        // The same readings of one clock, rounded to nanoseconds.
        assert!((sum - whole).abs() < 1e-7, "step {step}: parts {sum}, whole {whole}");
    }
}

#[test]
fn without_json_a_table_is_printed() {
    let (out, _) = run(0, &format!("{TINY} --profile"));
    for word in ["base 2", "16x8x3", "first step", "median", "peak memory", "backward"] {
        assert!(out.contains(word), "{word} is missing: {out}");
    }
    // A single step is the first and the only one.
    let (out, _) = run(0, "bench-train --base 1 --depth 1 --size 8 --batch 1 --steps 1");
    assert!(out.contains("8x8x1"), "{out}");
    assert!(out.lines().any(|line| line.split_whitespace().eq(["other", "steps", "none"])), "{out}");
}

#[test]
fn what_cannot_be_trained_is_refused() {
    for (flags, word) in [
        ("--size 250", "multiples of 16"),
        ("--size 64x", "480x352"),
        ("--size 0", "0x0"),
        ("--size 4294967296", "480x352"),
        ("--base 0", "--base: expected"),
        ("--depth 70", "depth"),
        ("--channels 2", "expected 1 or 3"),
        ("--classes 1", "error: --classes: expected 2 to 255"),
        ("--classes 18446744073709551615", "classes: expected 2 to 255"),
        ("--batch 0", "batch"),
        ("--batch 18446744073709551615", "lower --batch"),
        ("--steps 0", "--steps"),
        ("--network theirs", "plain"),
        ("--check --upsampling nearest", "cannot be used with"),
        ("--check --checkpointing", "cannot be used with"),
        ("--check --loss cross-entropy", "cannot be used with"),
        ("--weight-decay 0.1", "--optimizer adamw"),
    ] {
        let (out, err) = run(2, &format!("bench-train {flags}"));
        assert!(err.contains(word) && out.is_empty(), "{flags}: {err}");
    }
    if !cfg!(feature = "cuda") {
        let (_, err) = run(3, "bench-train --backend cuda");
        assert!(err.contains("--features cuda"), "{err}");
    }
}
