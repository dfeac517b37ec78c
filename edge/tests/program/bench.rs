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
    assert_eq!(document["kernel"], unet_edge::inference::kernel::Kernel::best().name());
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
    let said = kernel_of(&[], Some("neon"));
    assert!(said.contains("Some(2)") && said.contains("UNET_EDGE_KERNEL") && said.contains("found neon"), "{said}");
    assert!(kernel_of(&["--threads", "0"], None).contains("Some(2)"));
}
