//! A run on tiles: resumed, cached or not, it is the same run, and what follows from it uses the same tiles.

use crate::resume::{results, train_twice};
use crate::{expect, synthetic, text};

#[test]
fn a_run_on_tiles_keeps_them() {
    let folder = tempfile::tempdir().unwrap();
    let data = synthetic(folder.path(), 12, 3);
    let runs = folder.path().join("runs");
    let [whole, _] = train_twice(&data, &runs, &["--tiles", "32,16", "--cache-mib", "0"]);
    let config = std::fs::read_to_string(whole.join("config.toml")).unwrap();
    assert!(config.contains("tiles = \"32x32,16\"") && config.contains("width = 32"), "{config}");

    let shape = ["--base", "4", "--depth", "2", "--epochs", "4", "--batch", "2", "--tiles", "32,16"];
    let (_, err) =
        expect(0, &[&["train", text(&data), "--runs", text(&runs), "--name", "cached"], &shape[..]].concat());
    assert_eq!(results(&runs.join("cached")), results(&whole));
    // Three by three tiles of each image.
    assert!(err.contains("tiles of 32x32 pixels, overlap 16: 108 for training, 27 for validation"), "{err}");

    let larger =
        ["train", text(&data), "--runs", text(&runs), "--tiles", "128", "--base", "2", "--depth", "1", "--epochs", "1"];
    let (_, err) = expect(0, &larger);
    assert!(err.contains("tiles 128x128,32: no image is larger than a tile, so none is cut"), "{err}");

    let record = |name: &str, tiles: &[&str]| {
        let file = folder.path().join(name);
        let (out, _) = expect(0, &[&["val", text(&whole), "--output", text(&file)], tiles].concat());
        (out, file)
    };
    let (trained, first) = record("trained.json", &[]);
    assert!(trained.contains("tiles of 32x32 pixels, overlap 16\n"), "{trained}");
    let (scaled, second) = record("whole.json", &["--tiles", "none"]);
    assert!(!scaled.contains("tiles of"), "{scaled}");
    let (out, _) = expect(1, &["compare", text(&first), text(&second)]);
    assert!(out.contains("tiles: 32x32,16 in the first, none, images whole in the second"), "{out}");

    let output = folder.path().join("predicted");
    let images = data.join("val/images");
    let (_, err) = expect(0, &["predict", text(&whole), text(&images), "--output", text(&output), "--tiles", "32,8"]);
    assert!(
        err.contains(
            "tiles: images larger than 32x32 pixels are cut, overlap 8; the receptive field is 26 pixels each way"
        ),
        "{err}"
    );
    assert_eq!(std::fs::read_dir(output.join("masks")).unwrap().count(), 3);
    let (_, err) = expect(2, &["val", text(&whole), "--tiles", "33"]);
    assert!(err.contains("expected an even number from 16 to 16384, found 33"), "{err}");
}
