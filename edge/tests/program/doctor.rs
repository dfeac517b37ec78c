use super::*;

/// A healthy machine.
fn machine(fixture: &Fixture) -> PathBuf {
    for (path, content) in [
        ("board/proc/meminfo", "MemTotal: 4194304 kB\nMemAvailable: 3145728 kB\n"),
        ("board/sys/class/thermal/thermal_zone0/temp", "48312\n"),
        ("board/sys/devices/platform/soc/soc:firmware/get_throttled", "0\n"),
        ("board/dev/null", ""),
    ] {
        let path = fixture.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    fixture.path("board")
}

fn config(fixture: &Fixture, rest: &str) -> PathBuf {
    let text = format!(
        "package = {:?}\n[source]\nkind = \"y4m\"\npath = \"-\"\n[outputs.masks]\nfolder = {:?}\nbytes_max = \"1 MiB\"\n{rest}",
        fixture.package(),
        fixture.path("out/masks")
    );
    let path = fixture.path("unet-edge.toml");
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_healthy_board_exits_with_0_and_nothing_is_written() {
    let fixture = Fixture::new();
    let (root, config) = (machine(&fixture), config(&fixture, ""));
    let output = unet_edge(&["doctor", "--root", "@", "--config", "@"], &[&root, &config]);
    check_exit(&output, 0);
    let text = stdout(&output);
    for part in ["golden vectors 1 of 1 passed", "48.3 °C", "throttling", "standard input", " free\n", "\n0 problems, "]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!fixture.path("out").exists());
}

#[test]
fn problems_exit_with_1_and_say_what_to_do() {
    let fixture = Fixture::new();
    let root = machine(&fixture);
    std::fs::write(root.join("sys/devices/platform/soc/soc:firmware/get_throttled"), "50005\n").unwrap();
    let config = config(&fixture, "[board]\nstatus_led = \"gpio-sim.0/3\"\n");
    let output = unet_edge(&["doctor", "--root", "@", "--config", "@"], &[&root, &config]);
    check_failure(&output, 1, &["error: 2 problems, "]);
    let text = stdout(&output);
    for part in [
        "throttled now: under-voltage",
        "-> use a power supply",
        "gpio-sim.0/3",
        "-> load the driver of the GPIO chip, or run it on the board that [board] names",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let output = unet_edge(&["doctor", "--json", "--root", "@", "--config", "@"], &[&root, &config]);
    check_exit(&output, 1);
    let findings: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = findings.as_array().unwrap();
    let throttling = findings.iter().find(|finding| finding["subject"] == "throttling").unwrap();
    assert_eq!((&throttling["verdict"], throttling["advice"].is_string()), (&"problem".into(), true));
}

#[test]
fn a_broken_configuration_is_a_problem_and_the_rest_is_checked() {
    let fixture = Fixture::new();
    let root = machine(&fixture);
    let broken = config(&fixture, "[logg]\nlevel = \"info\"\n");
    for (config, part) in
        [(&broken, "unet-edge.toml:8: "), (&fixture.path("absent.toml"), "absent.toml: could not be read")]
    {
        let output = unet_edge(&["doctor", "--root", "@", "--config", "@"], &[&root, config]);
        check_failure(&output, 1, &["error: 1 problem, "]);
        assert!(stdout(&output).contains(part) && stdout(&output).contains("48.3 °C"), "{}", stdout(&output));
    }
}

#[test]
fn this_machine_can_be_checked() {
    let output = unet_edge(&["doctor"], &[]);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", stderr(&output));
    assert!(stdout(&output).contains("kernel"), "{}", stdout(&output));
    assert!((stdout(&output) + &stderr(&output)).contains(" problem"), "{}", stderr(&output));
}
