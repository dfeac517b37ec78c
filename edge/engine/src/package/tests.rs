use proptest::prelude::*;
use unet_shared::manifest::Manifest;

use super::*;
use unet_test_support::tiny_package;

/// The bytes of the tiny package; small enough that every position can be tried.
fn whole() -> Vec<u8> {
    let (manifest, members) = tiny_package::parts();
    encode(manifest, &members).unwrap()
}

/// A sealed package of exactly these members, whether or not they belong together.
fn sealed(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, data) in members {
        archive::push(&mut bytes, name, data).unwrap();
    }
    archive::finish(&mut bytes);
    seal(&mut bytes);
    bytes
}

/// The tiny package with its manifest and members changed after the manifest's list has been filled, sealed again.
fn altered(change: impl FnOnce(&mut Manifest, &mut Vec<(String, Vec<u8>)>)) -> Vec<u8> {
    let (mut manifest, mut members) = tiny_package::parts();
    manifest.members = Package::parse(whole()).unwrap().manifest.members;
    change(&mut manifest, &mut members);
    let json = serde_json::to_vec(&manifest).unwrap();
    let mut all: Vec<(&str, &[u8])> = vec![(MANIFEST_NAME, &json)];
    all.extend(members.iter().map(|(name, data)| (name.as_str(), data.as_slice())));
    sealed(&all)
}

/// The tiny package with parts that are changed before the list of members is filled: consistent digests throughout.
fn repacked(change: impl FnOnce(&mut Manifest, &mut Vec<(String, Vec<u8>)>)) -> Result<Package, PackageFault> {
    let (mut manifest, mut members) = tiny_package::parts();
    change(&mut manifest, &mut members);
    Package::parse(encode(manifest, &members)?)
}

#[track_caller]
fn check_refused(result: Result<Package, PackageFault>, expected: &str, found: &str) {
    let text = result.expect_err("must be refused").to_string();
    assert!(text.contains(&format!("expected {expected}")), "{text}");
    assert!(text.contains(&format!("found {found}")), "{text}");
}

#[test]
fn a_package_comes_back_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.unet");
    let (manifest, members) = tiny_package::parts();
    let digest = write(&path, manifest.clone(), members.clone()).unwrap();
    let package = Package::read(&path).unwrap();
    assert_eq!(package.digest, digest);
    assert_eq!(package.size() as u64, fs::metadata(&path).unwrap().len());
    assert_eq!(package.model(), tiny_package::model());
    for (name, data) in &members {
        assert_eq!(package.member(name), Some(data.as_slice()));
    }
    assert_eq!(package.members().count(), members.len());
    let golden: Vec<_> = package.golden().collect();
    assert_eq!(golden.len(), 1);
    assert_eq!(golden[0].input, tiny_package::golden_input());
    let mut found = package.manifest.clone();
    assert_eq!(found.members.len(), 3);
    found.members.clear();
    assert_eq!(found, manifest);
}

#[test]
fn what_is_no_package_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    fs::create_dir(&run).unwrap();
    let refused = |path: &Path| Package::read(path).unwrap_err().to_string();
    assert!(refused(&run).ends_with("run is a folder; expected a file, such as mine.unet"), "{}", refused(&run));
    fs::write(run.join("config.toml"), "").unwrap();
    let told = refused(&run);
    assert!(told.ends_with(&format!("`unet-host package {}` makes its package", run.display())), "{told}");
    fs::write(run.join("a.unet"), whole()).unwrap();
    assert!(refused(&run).ends_with(&format!("its package is {}", run.join("a.unet").display())), "{}", refused(&run));
    let text = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        refused(&path)
    };
    let onnx = text("model.onnx", &[8; 1000]);
    for part in
        ["is an ONNX file, not a package; `unet-host package RUN` makes one from a run", "`unet-edge inspect` and"]
    {
        assert!(onnx.contains(part), "{onnx}");
    }
    assert!(text("report.html", &[b'<'; 1000]).ends_with("report.html is not a package"));
    // A damaged or cut package is still one, also where its first bytes are damaged.
    let mut damaged = whole();
    damaged[3] ^= 1;
    for bytes in [&damaged[..], &whole()[..700], &whole()[..40]] {
        let told = text("a.unet", bytes);
        assert!(told.ends_with("a.unet is damaged or incomplete; copy it again"), "{told}");
    }
}

#[test]
fn the_same_content_gives_the_same_bytes() {
    assert_eq!(whole(), whole());
}

#[test]
fn every_cut_is_refused() {
    let bytes = whole();
    for length in 0..bytes.len() {
        let fault = Package::parse(&bytes[..length]).unwrap_err();
        let expected = matches!(fault, PackageFault::Size { .. } | PackageFault::Digest { .. });
        assert!(expected, "{length} of {} bytes: {fault}", bytes.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_flipped_bit_is_refused(position in any::<prop::sample::Index>(), bit in 0..8u32) {
        let mut bytes = whole();
        let index = position.index(bytes.len());
        bytes[index] ^= 1 << bit;
        let text = Package::parse(bytes).unwrap_err().to_string();
        prop_assert!(text.contains("expected") && text.contains("found"), "{}", text);
    }

    #[test]
    fn any_appended_bytes_are_refused(more in prop::collection::vec(any::<u8>(), 1..2000)) {
        let bytes = [whole(), more].concat();
        let fault = Package::parse(bytes).unwrap_err();
        prop_assert!(matches!(fault, PackageFault::Digest { .. }), "{}", fault);
    }

    /// Whoever alters a package can also recompute its digest; then only what decodes to a whole package may pass.
    #[test]
    fn an_altered_and_resealed_package_is_refused_or_whole(
        position in any::<prop::sample::Index>(), bit in 0..8u32, cut in any::<prop::sample::Index>()
    ) {
        let mut bytes = whole();
        bytes.truncate(bytes.len() - DIGEST_BYTES);
        let index = position.index(bytes.len());
        bytes[index] ^= 1 << bit;
        let mut altered = bytes.clone();
        seal(&mut altered);
        if let Ok(package) = Package::parse(altered) {
            // Only text within the manifest has no digest of its own.
            let json_bytes = serde_json::to_vec_pretty(&package.manifest).unwrap().len();
            prop_assert!(index >= 512 && index < 512 + json_bytes + 16, "bit {} of byte {}", bit, index);
        }
        bytes.truncate(cut.index(bytes.len()));
        seal(&mut bytes);
        let text = Package::parse(bytes).unwrap_err().to_string();
        prop_assert!(text.contains("expected") && text.contains("found"), "{}", text);
    }

    #[test]
    fn arbitrary_bytes_are_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..3000), resealed in any::<bool>()) {
        if resealed {
            seal(&mut bytes);
        }
        let text = Package::parse(bytes).unwrap_err().to_string();
        prop_assert!(text.contains("expected") && text.contains("found"), "{}", text);
    }

    #[test]
    fn any_other_version_is_refused(version in any::<u32>()) {
        prop_assume!(version != MANIFEST_VERSION);
        let bytes = altered(|manifest, _| manifest.version = version);
        let text = Package::parse(bytes).unwrap_err().to_string();
        prop_assert!(text.starts_with(&format!("manifest version: expected {MANIFEST_VERSION}, found {version}; ")), "{text}");
    }
}

#[test]
fn the_version_is_checked_before_the_rest_is_understood() {
    let bytes = sealed(&[(MANIFEST_NAME, br#"{"version": 2, "layers": []}"#)]);
    check_refused(Package::parse(bytes), "1", "2");
}

#[test]
fn other_text_in_place_of_the_manifest_is_refused() {
    for text in [&b""[..], b"{}", b"[1]", b"\xff", br#"{"version":1}"#, br#"{"version":-1}"#, &[b'['; 5000]] {
        check_refused(Package::parse(sealed(&[(MANIFEST_NAME, text)])), "a manifest of version 1", "something else");
    }
    check_refused(Package::parse(sealed(&[])), "manifest.json", "no member");
    check_refused(Package::parse(sealed(&[("model.onnx", b"1")])), "manifest.json", "model.onnx");
}

#[test]
fn extra_missing_and_doubled_members_are_refused() {
    let extra = altered(|_, members| members.push(("golden/1.mask".to_owned(), vec![0; 9])));
    check_refused(Package::parse(extra), "none of that name", "9 bytes");
    let missing = altered(|_, members| drop(members.remove(2)));
    check_refused(Package::parse(missing), "256 bytes", "no such member");
    let doubled = altered(|_, members| members.push(members[1].clone()));
    check_refused(Package::parse(doubled), "once", "twice in the archive");
    let two_manifests = altered(|_, members| members.push((MANIFEST_NAME.to_owned(), Vec::new())));
    check_refused(Package::parse(two_manifests), "once", "twice in the archive");
    let listed_twice = altered(|manifest, _| manifest.members.push(manifest.members[0].clone()));
    check_refused(Package::parse(listed_twice), "once", "twice in the manifest's list");
}

#[test]
fn members_of_other_sizes_or_content_are_refused() {
    let longer = altered(|_, members| members[1].1.push(0));
    check_refused(Package::parse(longer), "256 bytes", "257");
    let other = altered(|_, members| members[1].1[0] ^= 1);
    check_refused(Package::parse(other), "40aff2e9d2d8922e", "");
    let text = Package::parse(altered(|_, members| members[1].1[0] ^= 1)).unwrap_err().to_string();
    assert!(text.starts_with("sha256 of member golden/0.input"), "{text}");
}

#[test]
fn parts_that_contradict_each_other_are_refused() {
    check_refused(repacked(|manifest, _| manifest.model.input.shape[3] = 32), "1x1x16x16", "1x1x16x32");
    check_refused(repacked(|manifest, _| manifest.model.input.shape[0] = 2), "1x1x16x16", "2x1x16x16");
    check_refused(repacked(|manifest, _| manifest.model.output.shape[1] = 3), "1x2x16x16", "1x3x16x16");
    check_refused(repacked(|manifest, _| manifest.classes.truncate(1)), "1x1x16x16", "1x2x16x16");
    check_refused(repacked(|manifest, _| manifest.classes.clear()), "1 to 255", "0");
    check_refused(repacked(|manifest, _| manifest.preprocess.width = 0), "a valid one", "");
    check_refused(repacked(|manifest, _| manifest.preprocess.width = u32::MAX), "a valid one", "");
    check_refused(repacked(|manifest, _| manifest.model.input.quantization.scale = -1.0), "a valid one", "");
    check_refused(repacked(|manifest, _| manifest.model.output.quantization.zero_point = 256), "a valid one", "");
    check_refused(repacked(|manifest, _| manifest.model.file = "other.onnx".to_owned()), "a member other.onnx", "none");
    check_refused(
        repacked(|manifest, _| manifest.golden.clear()),
        "only ones that the manifest uses",
        "golden/0.input",
    );
    check_refused(
        repacked(|manifest, members| {
            manifest.golden.clear();
            members.truncate(1);
        }),
        "at least one",
        "none",
    );
    check_refused(repacked(|_, members| members[1].1.truncate(255)), "256 bytes", "255 bytes");
    check_refused(repacked(|_, members| members[2].1.push(0)), "256 bytes", "257 bytes");
    check_refused(repacked(|_, members| members[2].1[7] = 2), "class ids below 2", "2");
    let same_value = repacked(|manifest, _| manifest.classes[1].values = manifest.classes[0].values.clone());
    check_refused(same_value, "distinct ones", "");
}

#[test]
fn an_inconsistent_package_is_never_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.unet");
    let (mut manifest, members) = tiny_package::parts();
    manifest.model.input.shape[3] = 32;
    let error = write(&path, manifest, members).unwrap_err();
    assert!(matches!(error, PackageError::NotWritten { .. }));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn errors_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.unet");
    let absent = Package::read(&path).unwrap_err();
    assert!(absent.to_string().contains("cut.unet"), "{absent}");
    fs::write(&path, &whole()[..1000]).unwrap();
    let refused = Package::read(&path).unwrap_err();
    assert!(refused.to_string().contains("cut.unet"), "{refused}");
    assert!(matches!(Package::read(folder.path()).unwrap_err(), PackageError::NotAPackage { .. }));
}
