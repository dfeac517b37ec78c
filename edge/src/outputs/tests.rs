use std::fs;
use std::sync::Arc;

use unet_shared::preprocess::Placement;

use super::*;
use crate::telemetry::log::Log;

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn name(sequence: u64) -> String {
    file_stem(Duration::from_millis(1_700_000_000_000 + sequence), sequence) + ".png"
}

fn place(folder: &Path) -> Arc<Place> {
    Places::new(Log::none()).open(folder).unwrap()
}

#[test]
fn the_oldest_files_are_removed_at_the_limits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/masks");
    let mut masks = BoundedFolder::open(place(&path), FolderBounds { files_max: 3, bytes_max: 100 }).unwrap();
    for sequence in 0..4 {
        masks.store(&name(sequence), &[0; 20]).unwrap();
    }
    assert_eq!(names(&path), [1, 2, 3].map(name));
    // 20 + 20 + 20 + 70 exceed 100 until two are removed.
    masks.store(&name(4), &[0; 70]).unwrap();
    assert_eq!((names(&path), masks.files(), masks.bytes()), ([3, 4].map(name).to_vec(), 2, 90));
    // A file of the same name is replaced.
    masks.store(&name(4), &[0; 80]).unwrap();
    assert_eq!((masks.files(), masks.bytes()), (2, 100));
    let error = masks.store(&name(5), &[0; 101]).unwrap_err();
    assert!(error.to_string().ends_with("at most 100 bytes, found 101"), "{error}");
    assert_eq!(masks.files(), 2);
}

#[test]
fn existing_files_count_and_other_files_are_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for (name, size) in [(name(2), 10), (name(1), 10), (name(3), 10), ("letter.png".to_owned(), 500)] {
        fs::write(path(&name), vec![0; size]).unwrap();
    }
    // A temporary file of a killed process.
    fs::write(path(&format!(".{}.77.3.tmp", name(4))), b"half").unwrap();
    let mut masks = BoundedFolder::open(place(folder.path()), FolderBounds { files_max: 3, bytes_max: 100 }).unwrap();
    assert_eq!((masks.files(), masks.bytes()), (3, 30));
    masks.store(&name(5), &[0; 10]).unwrap();
    assert_eq!(names(folder.path()), [name(2), name(3), name(5), "letter.png".to_owned()]);
    drop(masks);
    let masks = BoundedFolder::open(place(folder.path()), FolderBounds { files_max: 1, bytes_max: 100 }).unwrap();
    assert_eq!((masks.files(), names(folder.path())), (1, vec![name(5), "letter.png".to_owned()]));
}

#[test]
fn a_failure_costs_one_file_and_a_removed_folder_is_created_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("masks");
    let mut masks = BoundedFolder::open(place(&path), FolderBounds { files_max: 3, bytes_max: 100 }).unwrap();
    masks.store(&name(0), b"a").unwrap();
    fs::rename(&path, folder.path().join("away")).unwrap();
    // A file in place of the folder stands in for a failing disk.
    fs::write(&path, b"").unwrap();
    masks.store(&name(1), b"b").unwrap_err();
    masks.store(&name(2), b"c").unwrap_err();
    fs::remove_file(&path).unwrap();
    masks.store(&name(3), b"d").unwrap();
    assert_eq!((names(&path), masks.files(), masks.bytes()), (vec![name(3)], 1, 1));
}

/// On a disk that is really full: runs this test again in a namespace with a small disk, if that is possible.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_costs_only_the_files_that_do_not_fit() {
    const PLACE: &str = "UNET_EDGE_TEST_SMALL_DISK";
    const NOT_HERE: i32 = 77;
    if let Some(place) = std::env::var_os(PLACE) {
        return fill(Path::new(&place));
    }
    let place = tempfile::tempdir().unwrap();
    let script = format!("mount -t tmpfs -o size=64k none \"${PLACE}\" || exit {NOT_HERE}; exec \"$0\" \"$@\"");
    let output = std::process::Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "outputs::tests::a_full_disk_costs_only_the_files_that_do_not_fit"])
        .env(PLACE, place.path())
        .output();
    let Ok(output) = output else { return };
    let text = String::from_utf8_lossy(&output.stdout);
    // A failed test exits with 101; any other code means that no disk could be mounted.
    assert_ne!(output.status.code(), Some(101), "{text}{}", String::from_utf8_lossy(&output.stderr));
    if output.status.success() {
        assert!(text.contains("1 passed"), "{text}");
    } else {
        eprintln!("no small disk: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Sixteen pages have room for three files of five.
#[cfg(target_os = "linux")]
fn fill(place: &Path) {
    let mut masks =
        BoundedFolder::open(self::place(place), FolderBounds { files_max: 10, bytes_max: 1 << 20 }).unwrap();
    for sequence in 0..3 {
        masks.store(&name(sequence), &[1; 20_000]).unwrap();
    }
    for sequence in [3, 4] {
        let error = masks.store(&name(sequence), &[1; 20_000]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
    }
    // No partial file, and only existing files are counted.
    assert_eq!((names(place), masks.files(), masks.bytes()), ([0, 1, 2].map(name).to_vec(), 3, 60_000));
    // Another program frees space.
    fs::remove_file(place.join(name(1))).unwrap();
    masks.store(&name(5), &[1; 20_000]).unwrap();
    assert_eq!(names(place), [0, 2, 5].map(name));
}

fn bounds(frames_max: usize, bytes_max: u64) -> HardFramesBounds {
    HardFramesBounds { margin_below: 20.0, frames_max, bytes_max, pause: Duration::from_secs(10) }
}

#[test]
fn the_hardest_frames_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let place = place(folder.path());
    let mut hard = HardFrames::open(place.clone(), bounds(2, 100)).unwrap();
    let at = |seconds: u64| Duration::from_secs(seconds);
    let stem = |sequence| file_stem(at(1_700_000_000), sequence);
    let mut keep = |margin, seconds, sequence| hard.store(margin, at(seconds), &stem(sequence), "png", &[0; 10]);
    assert!(keep(15.0, 0, 0).unwrap());
    // Too soon; not hard; then harder ones, which replace the easier of two.
    assert!(!keep(1.0, 9, 1).unwrap());
    assert!(!keep(20.0, 10, 2).unwrap());
    assert!(keep(12.5, 10, 3).unwrap());
    assert!(!keep(15.0, 20, 4).unwrap());
    assert!(keep(3.25, 20, 5).unwrap());
    let expected = [format!("m00325-{}.png", stem(5)), format!("m01250-{}.png", stem(3))];
    assert_eq!(names(folder.path()), expected);
    // After a restart, and with a lower limit.
    drop(hard);
    let mut hard = HardFrames::open(place.clone(), bounds(2, 100)).unwrap();
    assert!(!hard.accepts(13.0, at(0)) && hard.accepts(12.0, at(0)));
    // 95 bytes do not fit beside the 10 of the harder frame.
    assert!(!hard.store(12.0, at(0), &stem(6), "png", &[0; 95]).unwrap());
    assert!(hard.store(2.0, at(0), &stem(7), "png", &[0; 95]).unwrap());
    assert_eq!((names(folder.path()), hard.frames()), (vec![format!("m00200-{}.png", stem(7))], 1));
    let hard = HardFrames::open(place, bounds(2, 50)).unwrap();
    assert_eq!((names(folder.path()), hard.frames()), (Vec::new(), 0));
}

#[test]
fn margins_are_means_over_the_frame() {
    // Three classes of 3 x 2 pixels.
    let logits = [9, 5, 0, 7, 7, 255, 4, 8, 0, 7, 1, 0, 3, 6, 0, 7, 2, 10];
    let whole = Placement { x: 0, y: 0, width: 3, height: 2 };
    // 9-4, 8-6, 0, 0, 7-2, 255-10.
    assert_eq!(mean_margin(&logits, 3, (3, 2), whole), Ok(257.0 / 6.0));
    let part = Placement { x: 0, y: 0, width: 2, height: 2 };
    assert_eq!(mean_margin(&logits, 3, (3, 2), part), Ok(3.0));
    let error = MarginError { classes: 2, width: 3, height: 2, found: 18 };
    assert_eq!(mean_margin(&logits, 2, (3, 2), whole), Err(error));
    let error = MarginError { classes: 3, width: 3, height: 2, found: 18 };
    assert_eq!(mean_margin(&logits, 3, (3, 2), Placement { x: 1, ..whole }), Err(error));
    // Rows longer than a piece.
    let wide = [vec![200; 1000], vec![190; 1000]].concat();
    let whole = Placement { x: 0, y: 0, width: 1000, height: 1 };
    assert_eq!(mean_margin(&wide, 2, (1000, 1), whole), Ok(10.0));
}

#[test]
fn stems_are_parsed() {
    assert_eq!(file_stem(Duration::from_millis(1_700_000_000_123), 42), "1700000000123-000042");
    assert_eq!(stem_numbers("1700000000123-000042"), Some((1_700_000_000_123, 42)));
    // A clock that was never set.
    assert_eq!(stem_numbers(&file_stem(Duration::from_millis(5), 7_000_000)), Some((5, 7_000_000)));
    for other in ["", "IMG-0001", "2024-000001", "1700000000123-42", "1700000000123_000042", "+700000000123-000042"] {
        assert_eq!(stem_numbers(other), None, "{other}");
    }
}
