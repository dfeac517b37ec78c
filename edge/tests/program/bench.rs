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
    assert_eq!(document["kernel"], "tract");
    if cfg!(target_os = "linux") {
        assert!(document["peak_rss_kib"].as_u64().unwrap() > 1000);
    }
}

#[test]
fn text_is_one_line() {
    let fixture = Fixture::new();
    let output = unet_edge(&["bench", "@", "--frames", "2"], &[&fixture.package()]);
    check_exit(&output, 0);
    let text = stdout(&output);
    assert!(text.starts_with("2 frames by tract: median ") && text.lines().count() == 1, "{text}");
}

#[test]
fn a_package_that_is_not_there_ends_with_2() {
    let fixture = Fixture::new();
    check_failure(&unet_edge(&["bench", "@"], &[&fixture.path("absent.unet")]), 2, &["absent.unet"]);
}
