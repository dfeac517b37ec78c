use super::*;

#[test]
fn prints_what_the_package_holds() {
    let fixture = Fixture::new();
    let output = unet_edge(&["inspect", "@"], &[&fixture.package()]);
    check_exit(&output, 0);
    let text = stdout(&output);
    for part in [
        "tiny.unet",
        "image u8 1x1x16x16",
        "logits u8 1x2x16x16",
        "16x16 gray, stretch, area filter, divided by 255",
        "0 dark, label 29",
        "1 bright, label 226, shown as #ff0000",
        "golden/0.mask, 256 bytes",
        "run tiny-run, seed 7",
        "f32 0.9000, int8 -",
        "1 of 1 passed by integer",
        "QLinearConv",
        "100.00 % of 512 multiply-accumulates",
        "bytes of packed weights",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn json_is_one_document() {
    let fixture = Fixture::new();
    let output = unet_edge(&["inspect", "@", "--json"], &[&fixture.package()]);
    check_exit(&output, 0);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["manifest"]["name"], "tiny");
    assert_eq!(document["golden"]["passed"], true);
    assert_eq!(document["engine"]["engine"], "integer");
    assert_eq!(document["engine"]["nodes"][0]["multiplications"], 512);
    let bytes = std::fs::read(fixture.package()).unwrap();
    let digest = unet_shared::digest::Digest::of(&bytes[..bytes.len() - 32]);
    assert_eq!(document["digest"], digest.to_string());
}

#[test]
fn packages_that_are_not_whole_are_refused_by_name() {
    let fixture = Fixture::new();
    let whole = std::fs::read(fixture.package()).unwrap();
    let path = fixture.path("broken.unet");
    let mut flipped = whole.clone();
    flipped[700] ^= 4;
    let (damaged, none) = ("broken.unet is damaged or incomplete; copy it again", "broken.unet is not a package");
    for (bytes, verdict) in
        [(&whole[..whole.len() - 1], damaged), (&flipped, damaged), (&whole[..10], none), (&[], none)]
    {
        std::fs::write(&path, bytes).unwrap();
        let output = unet_edge(&["inspect", "@"], &[&path]);
        check_failure(&output, 2, &[verdict, "expected", "found"]);
    }
    check_failure(&unet_edge(&["inspect", "@"], &[&fixture.path("absent.unet")]), 2, &["absent.unet"]);
    check_failure(
        &unet_edge(&["inspect", "@"], &[fixture.folder.path()]),
        2,
        &["is a folder; expected a file, such as"],
    );
}

#[test]
fn a_package_whose_golden_vector_comes_out_otherwise_is_refused() {
    let fixture = Fixture::new();
    let (manifest, mut members) = tiny_package::parts();
    members[2].1[0] = 1;
    unet_engine::package::write(&fixture.package(), manifest, members).unwrap();
    let output = unet_edge(&["inspect", "@"], &[&fixture.package()]);
    check_failure(&output, 2, &["tiny.unet", "golden/0.input", "expected class 1 at (0, 0), found 0"]);
}

/// A sigmoid between two convolutions.
fn with_a_node_for_tract() -> Vec<u8> {
    use unet_test_support::quantized_onnx::{Conv, Graph};
    let shape = [1, 1, 8, 8];
    let quantization = (0.5, 0);
    let conv = Conv {
        shape: [1, 1, 1, 1],
        weights: vec![1],
        weight_scales: vec![1.0],
        bias: vec![0],
        pads: [0; 4],
        x: quantization,
        y: quantization,
    };
    Graph::new("x", shape)
        .conv_pairs("x", "a", &conv, false)
        .dequantize("a", "a.real", quantization)
        .node("Sigmoid", &["a.real".to_owned()], "b", Vec::new())
        .quantize("b", "c", quantization)
        .conv_pairs("c", "y", &conv, false)
        .finish("y", shape)
}

#[test]
fn an_onnx_file_says_what_runs_where_and_why() {
    let fixture = Fixture::new();
    let path = fixture.path("net.onnx");
    std::fs::write(&path, with_a_node_for_tract()).unwrap();
    let output = unet_edge(&["inspect", "@"], &[&path]);
    check_exit(&output, 0);
    let text = stdout(&output);
    for part in [
        "net.onnx",
        "x u8 1x1x8x8",
        "integer+tract, kernel ",
        "50.00 % of 128 multiply-accumulates",
        "left to tract",
        "b.node",
        "Sigmoid",
        "expected an operator that the integer engine has",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let output = unet_edge(&["inspect", "@", "--json"], &[&path]);
    check_exit(&output, 0);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["engine"]["nodes"].as_array().map(Vec::len), Some(2));
    assert_eq!(document["engine"]["tract_nodes"][0]["operator"], "Sigmoid");
    // Where nothing is left to tract, the key is not there.
    let output = unet_edge(&["inspect", "@", "--json"], &[&fixture.package()]);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["engine"].get("tract_nodes"), None);
    check_failure(&unet_edge(&["inspect", "@", "--size", "8x8"], &[&fixture.package()]), 2, &["--size", "*.onnx"]);
    let float = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/sandstone/sandstone_f32.onnx");
    let text = stdout(&unet_edge(&["inspect", "@", "--size", "64x64"], &[&float]));
    assert!(text.contains("tract runs the whole graph: it is not quantized"), "{text}");
    std::fs::write(&path, b"no model").unwrap();
    check_failure(
        &unet_edge(&["inspect", "@"], &[&path]),
        2,
        &["net.onnx cannot be read: it is damaged or not an ONNX file"],
    );
}

#[test]
fn a_kernel_that_this_cpu_lacks_is_not_the_models_fault() {
    let fixture = Fixture::new();
    let lacking = if cfg!(target_arch = "x86_64") { "neon" } else { "avx2" };
    let onnx = fixture.path("net.onnx");
    std::fs::write(&onnx, with_a_node_for_tract()).unwrap();
    let data = fixture.write_dataset("data");
    for (verb, paths) in [("inspect", &[&onnx][..]), ("bench", &[&onnx]), ("inspect", &[&fixture.package()])]
        .into_iter()
        .chain([("bench", &[&fixture.package()][..]), ("evaluate", &[&fixture.package(), &data])])
    {
        let paths: Vec<&Path> = paths.iter().map(|path| path.as_path()).collect();
        let arguments = [&[verb][..], &["@"].repeat(paths.len()), &["--kernel", lacking]].concat();
        let output = unet_edge(&arguments, &paths);
        check_failure(&output, 2, &[lacking, "lacks its instructions; use auto, tract, scalar"]);
        assert!(!stderr(&output).contains("rejected"), "{}", stderr(&output));
    }
}

#[test]
fn a_package_that_tract_does_not_reproduce_is_not_called_damaged() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/sandstone/sandstone.unet");
    let output = unet_edge(&["inspect", "@", "--kernel", "tract"], &[&package]);
    check_failure(&output, 2, &["the package is intact", "golden/", "one step", "use kernel auto"]);
    check_exit(&unet_edge(&["inspect", "@", "--kernel", "auto"], &[&package]), 0);
}

#[test]
fn a_negative_value_is_refused_by_the_name_of_its_flag() {
    let fixture = Fixture::new();
    for (flag, value) in [("--threads", "-1"), ("--frames", "-2"), ("--minutes", "-1"), ("--size", "-1x5")] {
        let output = unet_edge(&["bench", "@", flag, value], &[&fixture.package()]);
        check_failure(&output, 2, &[flag, value]);
        assert!(!stderr(&output).contains("unexpected argument"), "{}", stderr(&output));
    }
}
