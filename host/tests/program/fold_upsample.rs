//! `export --fold-upsample`, and what is made of its file.

use std::path::Path;

use crate::{expect, parse, synthetic, text};

fn trained(folder: &Path, data: &Path, upsampling: &str) -> std::path::PathBuf {
    let runs = folder.join("runs");
    let small = ["--name", upsampling, "--upsampling", upsampling, "--base", "4", "--depth", "2", "--epochs", "1"];
    expect(0, &[&["train", text(data), "--runs", text(&runs)], &small[..]].concat());
    runs.join(upsampling)
}

#[test]
fn a_folded_export_is_verified_quantized_and_packed_and_can_be_undone() {
    let folder = tempfile::tempdir().unwrap();
    let data = synthetic(folder.path(), 8, 3);
    let run = trained(folder.path(), &data, "nearest");
    let plain = parse(&expect(0, &["export", text(&run), "--json"]).0);
    assert_eq!(plain["multiplications"], plain["multiplications_unfolded"]);
    let file = |name: &str| std::fs::read(run.join("export").join(name)).unwrap();
    let unfolded = file("model_f32.onnx");

    let folded = parse(&expect(0, &["export", text(&run), "--fold-upsample", "--json"]).0);
    assert_eq!((&folded["verified"], &folded["frames"]), (&true.into(), &3.into()), "{folded}");
    assert_eq!(folded["multiplications_unfolded"], plain["multiplications"]);
    // 16 to 8 channels at 32x32 and 8 to 4 at 64x64, 4 taps each in place of 9.
    let saved = 5 * (16 * 8 * 32 * 32 + 8 * 4 * 64 * 64);
    let multiplications = |report: &serde_json::Value| report["multiplications"].as_u64().unwrap();
    assert_eq!(multiplications(&folded) + saved, multiplications(&plain));
    assert!(file("model_f32.onnx") != unfolded);
    assert_eq!(parse(&String::from_utf8(file("export.json")).unwrap())["fold_upsample"], true);
    let (out, _) = expect(0, &["export", text(&run), "--fold-upsample"]);
    assert!(out.contains("upsampling folded: ") && out.contains("\nverified: "), "{out}");

    // The quantized forms and the package are those of the folded file.
    for format in ["qlinear", "qdq"] {
        expect(0, &["quantize", text(&run), "--format", format]);
    }
    for name in ["model_int8.onnx", "model_qdq.onnx"] {
        let bytes = file(name);
        let holds = |word: &str| bytes.windows(word.len()).any(|window| window == word.as_bytes());
        assert!(holds("DepthToSpace") && !holds("Resize"), "{name}");
    }
    let (package, host, board) =
        (folder.path().join("p.unet"), folder.path().join("host.json"), folder.path().join("board.json"));
    expect(0, &["package", text(&run), "--output", text(&package)]);
    expect(0, &["val", text(&run), "--engine", "int8", "--output", text(&host)]);
    expect(0, &["val", text(&package), "--data", text(&data), "--output", text(&board)]);
    assert_eq!(expect(0, &["compare", text(&host), text(&board)]).0, "parity: equal, 3 frames\n");

    expect(0, &["export", text(&run)]);
    assert!(file("model_f32.onnx") == unfolded, "the export without the flag is the one before it");
}

#[test]
fn a_network_without_nearest_upsampling_has_nothing_to_fold() {
    let folder = tempfile::tempdir().unwrap();
    let run = trained(folder.path(), &synthetic(folder.path(), 4, 2), "up-convolution");
    let (_, err) = expect(2, &["export", text(&run), "--fold-upsample"]);
    assert!(err.contains("expected nearest upsampling") && err.contains("--fold-upsample"), "{err}");
    assert!(!run.join("export/model_f32.onnx").exists());
}
