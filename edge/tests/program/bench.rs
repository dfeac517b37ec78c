use super::*;

#[test]
fn json_holds_a_time_for_each_frame_and_the_peak_memory() {
    let fixture = Fixture::new();
    let output = unet_edge(&["bench", "@", "--frames", "3", "--json"], &[&fixture.package()]);
    check_exit(&output, 0);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let times = document["frame_ms"].as_array().unwrap();
    assert_eq!(times.len(), 3);
    assert!(times.iter().all(|time| time.as_f64().unwrap() > 0.0));
    assert_eq!(document["kernel"], unet_engine::inference::kernel::Kernel::best().name());
    assert_eq!(document["threads"], 1);
    if cfg!(target_os = "linux") {
        assert!(document["peak_rss_kib"].as_u64().unwrap() > 1000);
    }
}

#[test]
fn text_is_one_line() {
    let fixture = Fixture::new();
    let output = unet_edge(&["bench", "@", "--frames", "2", "--kernel", "tract"], &[&fixture.package()]);
    check_exit(&output, 0);
    let text = stdout(&output);
    assert!(text.starts_with("2 frames by tract, threads 1: median ") && text.lines().count() == 1, "{text}");
}

#[test]
fn a_package_that_is_not_there_ends_with_2() {
    let fixture = Fixture::new();
    check_failure(&unet_edge(&["bench", "@"], &[&fixture.path("absent.unet")]), 2, &["absent.unet"]);
}

#[test]
fn a_kernel_is_chosen_by_flag_or_environment() {
    let fixture = Fixture::new();
    let kernel_of = |flags: &[&str], variable: Option<&str>| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_unet-edge"));
        command.arg("bench").arg(fixture.package()).args(["--json", "--frames", "1"]).args(flags);
        command.env_remove("UNET_EDGE_KERNEL").envs(variable.map(|name| ("UNET_EDGE_KERNEL", name)));
        let output = command.output().unwrap();
        match output.status.code() {
            Some(0) => serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()["kernel"].to_string(),
            code => format!("{code:?} {}", stderr(&output)),
        }
    };
    assert_eq!(kernel_of(&["--kernel", "scalar", "--threads", "3"], None), "\"scalar\"");
    assert_eq!(kernel_of(&[], Some("tract")), "\"tract\"");
    assert_eq!(kernel_of(&["--kernel", "scalar"], Some("tract")), "\"scalar\"");
    let said = kernel_of(&[], Some("mmx"));
    assert!(said.contains("Some(2)") && said.contains("UNET_EDGE_KERNEL") && said.contains("found mmx"), "{said}");
    assert!(kernel_of(&["--threads", "0"], None).contains("Some(2)"));
}

#[test]
fn a_profile_names_each_node_and_the_peak_of_the_core() {
    let fixture = Fixture::new();
    let flags = ["bench", "@", "--frames", "2", "--profile", "--peak", "--json"];
    let output = unet_edge(&flags, &[&fixture.package()]);
    check_exit(&output, 0);
    // One line, for programs that read the last one.
    assert_eq!(stdout(&output).lines().count(), 1);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let nodes = document["nodes"].as_array().unwrap();
    assert_eq!(nodes[0]["name"], "(input)");
    let of_convolutions = nodes.iter().filter(|node| node["operator"] == "QLinearConv");
    assert!(of_convolutions.clone().count() > 0);
    for node in of_convolutions {
        assert!(node["multiplications_per_second"].as_f64().unwrap() > 0.0, "{node}");
    }
    let shares: f64 = nodes.iter().map(|node| node["share"].as_f64().unwrap()).sum();
    assert!((shares - 1.0).abs() < 1e-9, "{shares}");
    if unet_engine::inference::kernel::Kernel::best().peak().is_some() {
        assert!(document["peak_multiplications_per_second"].as_f64().unwrap() > 1e8);
    }
    let text = stdout(&unet_edge(&["bench", "@", "--frames", "2", "--profile"], &[&fixture.package()]));
    assert!(text.lines().count() > nodes.len(), "{text}");
    let text = stdout(&unet_edge(&["bench", "@", "--profile", "--kernel", "tract"], &[&fixture.package()]));
    assert!(text.contains("tract runs the graph"), "{text}");
}

#[test]
fn an_onnx_file_is_measured_as_it_is_or_at_another_size() {
    let fixture = Fixture::new();
    let model = fixture.path("tiny.onnx");
    std::fs::write(&model, unet_test_support::tiny_package::model()).unwrap();
    let output = unet_edge(&["bench", "@", "--frames", "1", "--json"], &[&model]);
    check_exit(&output, 0);
    let output = unet_edge(&["bench", "@", "--frames", "1", "--size", "48x32"], &[&model]);
    check_exit(&output, 0);
    let output = unet_edge(&["bench", "@", "--frames", "1", "--size", "48x32"], &[&fixture.package()]);
    check_exit(&output, 0);
    check_failure(&unet_edge(&["bench", "@", "--size", "48"], &[&model]), 2, &["48", "WxH"]);
    check_failure(
        &unet_edge(&["bench", "@", "--threads", "0"], &[&model]),
        2,
        &["--threads: expected 1 to 64, found 0"],
    );
    let unknown = unet_edge(&["bench", "@", "--colour"], &[&model]);
    check_failure(&unknown, 2, &["unexpected argument --colour; `unet-edge bench --help` lists the arguments"]);
    let misplaced = unet_edge(&["evaluate", "@", "--data", "g"], &[&fixture.package()]);
    check_failure(&misplaced, 2, &["--data: a dataset is given without a flag: unet-edge evaluate PACKAGE g"]);
    let missing = unet_edge(&["run", "@", "--source", "missing.mp4"], &[&fixture.package()]);
    check_failure(
        &missing,
        2,
        &["missing.mp4 does not exist; source missing.mp4: a network stream or a video is read through ffmpeg"],
    );
    // A network that halves the image cannot run at any size.
    let sandstone = |name: &str| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../models/sandstone").join(name);
    let expected = "--size 33x33: expected a width and height that are multiples of ";
    for (verb, file) in
        [("bench", "sandstone.unet"), ("bench", "sandstone_f32.onnx"), ("inspect", "sandstone_f32.onnx")]
    {
        let output = unet_edge(&[verb, "@", "--size", "33x33"], &[&sandstone(file)]);
        check_failure(&output, 2, &[expected, "; the nearest size is "]);
    }
    std::fs::write(&model, b"no model").unwrap();
    check_failure(
        &unet_edge(&["bench", "@"], &[&model]),
        2,
        &["tiny.onnx cannot be read: it is damaged or not an ONNX file"],
    );
    check_failure(&unet_edge(&["bench", "@"], &[&fixture.path("absent.onnx")]), 2, &["absent.onnx"]);
}

#[test]
fn the_digest_is_one_for_all_kernels_and_threads_and_another_for_other_frames() {
    let fixture = Fixture::new();
    let model = fixture.path("tiny.onnx");
    std::fs::write(&model, unet_test_support::tiny_package::model()).unwrap();
    let digest = |flags: &[&str]| {
        let output = unet_edge(&[&["bench", "@", "--digest", "--json"], flags].concat(), &[&model]);
        check_exit(&output, 0);
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let digest = document["sha256"].as_str().unwrap().to_owned();
        assert_eq!(digest.len(), 64);
        digest
    };
    let expected = digest(&["--frames", "6", "--kernel", "scalar"]);
    for kernel in unet_engine::inference::kernel::Kernel::ALL.into_iter().filter(|kernel| kernel.is_available()) {
        for threads in ["1", "3"] {
            let found = digest(&["--frames", "6", "--kernel", kernel.name(), "--threads", threads]);
            assert_eq!(found, expected, "{kernel}, {threads} threads");
        }
    }
    assert_ne!(digest(&["--frames", "5", "--kernel", "scalar"]), expected);
    let text = stdout(&unet_edge(&["bench", "@", "--digest", "--frames", "6"], &[&model]));
    assert!(text.contains(&expected), "{text}");
}

#[test]
fn minutes_give_a_line_each_and_a_summary() {
    let fixture = Fixture::new();
    // The last line's minute is not over.
    let output = unet_edge(&["bench", "@", "--minutes", "0.002"], &[&fixture.package()]);
    check_exit(&output, 0);
    let text = stdout(&output);
    let lines: Vec<_> = text.lines().collect();
    let [line, summary] = lines.as_slice() else { panic!("{text}") };
    assert!(line.starts_with("   0:00 ") && line.contains(" frames, p50 ") && line.contains("throttl"), "{line}");
    assert!(summary.starts_with("0.0 minutes by ") && summary.contains("peak memory"), "{summary}");
    let output = unet_edge(&["bench", "@", "--minutes", "0.002", "--json"], &[&fixture.package()]);
    check_exit(&output, 0);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let [minute] = document["minutes"].as_array().unwrap().as_slice() else { panic!("{document}") };
    assert_eq!(minute["frames"], document["summary"]["frames"]);
    // Latencies are in whole microseconds, and a fast core needs less for this package.
    let [p50, p99, max] = ["p50_ms", "p99_ms", "max_ms"].map(|key| minute[key].as_f64().unwrap());
    assert!(minute["frames"].as_u64().unwrap() > 0 && 0.0 <= p50 && p50 <= p99 && p99 <= max, "{document}");
    assert!(stderr(&output).contains(" frames, p50 "));
    for minutes in ["0", "-1", "nan", "1e9", "many"] {
        let output = unet_edge(&["bench", "@", &format!("--minutes={minutes}")], &[&fixture.package()]);
        check_failure(&output, 2, &["--minutes", "at most 10080 minutes"]);
    }
    check_exit(&unet_edge(&["bench", "@", "--minutes", "1", "--profile"], &[&fixture.package()]), 2);
}

#[test]
fn the_digest_of_minutes_is_that_of_as_many_frames() {
    let fixture = Fixture::new();
    for model in [fixture.package(), fixture.path("tiny.onnx")] {
        if model.extension().is_some_and(|extension| extension == "onnx") {
            std::fs::write(&model, unet_test_support::tiny_package::model()).unwrap();
        }
        let digest = |flags: &[&str]| {
            let output =
                unet_edge(&[&["bench", "@", "--digest", "--json", "--frames", "7"], flags].concat(), &[&model]);
            check_exit(&output, 0);
            serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()["sha256"].clone()
        };
        assert!(digest(&[]).is_string());
        assert_eq!(digest(&["--minutes", "0.0000001"]), digest(&[]));
        assert_eq!(digest(&["--minutes", "0.002"]), digest(&[]));
    }
}
