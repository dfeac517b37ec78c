use super::*;
use unet_test_support::folder_tree::folder_tree;

/// A machine with these files below /sys, /proc and /dev.
pub(crate) fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, Roots) {
    let folder = folder_tree(files);
    let roots = Roots::below(folder.path());
    (folder, roots)
}

fn environment() -> Environment {
    Environment {
        chips: Ok(Vec::new()),
        programs: OsString::new(),
        now: Duration::from_secs(1_764_000_000),
        watchdog: None,
    }
}

#[track_caller]
fn check(findings: &[Finding], subject: &str, verdict: Verdict, found: &str) {
    let finding = findings.iter().find(|finding| finding.subject == subject).expect("the subject");
    assert_eq!((finding.verdict, finding.found.as_str()), (verdict, found));
    assert_eq!(finding.advice.is_some(), verdict >= Verdict::Warning, "{finding:?}");
}

#[test]
fn a_healthy_board_has_no_problems() {
    let (_folder, roots) = tree(&[
        ("proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.5\0"),
        ("proc/sys/kernel/osrelease", "6.12.25\n"),
        ("proc/meminfo", "MemTotal: 4194304 kB\nMemAvailable: 3145728 kB\n"),
        ("sys/class/thermal/thermal_zone0/temp", "48312\n"),
        ("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n"),
        ("sys/devices/platform/soc/soc:firmware/get_throttled", "0\n"),
        ("sys/devices/system/cpu/cpufreq/policy0/affected_cpus", "0 1 2 3\n"),
        ("sys/devices/system/cpu/cpufreq/policy0/scaling_governor", "ondemand\n"),
        ("sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq", "600000\n"),
        ("sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq", "1800000\n"),
        ("sys/devices/system/cpu/cpufreq/policy0/cpuinfo_max_freq", "1800000\n"),
    ]);
    let findings = examine(&roots, &environment(), None);
    assert!(findings[0].found.starts_with("Raspberry Pi 4 Model B Rev 1.5, Linux 6.12.25, "), "{findings:?}");
    check(&findings, "memory", Verdict::Ok, "3.0 GiB of 4.0 GiB available");
    check(&findings, "temperature", Verdict::Ok, "48.3 °C at cpu-thermal");
    check(&findings, "throttling", Verdict::Ok, "none");
    check(&findings, "processor", Verdict::Ok, "cores 0 1 2 3: governor ondemand, 600 of 1800 MHz");
    check(&findings, "clock", Verdict::Ok, "2025-11-24 UTC");
    check(&findings, "source", Verdict::Warning, "no camera: found no /dev/video*");
    assert_eq!(count(&findings, Verdict::Problem), 0);
}

#[test]
fn problems_of_a_board_are_reported() {
    let policy = "sys/devices/system/cpu/cpufreq/policy0";
    let files = |governor: &'static str| {
        [("scaling_governor", governor), ("scaling_max_freq", "1000000"), ("cpuinfo_max_freq", "1800000")]
            .map(|(name, text)| (format!("{policy}/{name}"), text))
    };
    let look = |governor, others: &[(&str, &str)]| {
        let policy = files(governor);
        let mut files: Vec<(&str, &str)> = policy.iter().map(|(path, text)| (path.as_str(), *text)).collect();
        files.extend(others);
        let (_folder, roots) = tree(&files);
        examine(&roots, &Environment { now: Duration::ZERO, ..environment() }, None)
    };
    let findings = look(
        "powersave",
        &[
            ("proc/meminfo", "MemTotal: 4194304 kB\nMemAvailable: 30000 kB\n"),
            ("sys/class/thermal/thermal_zone0/temp", "91000\n"),
            ("sys/devices/platform/soc/soc:firmware/get_throttled", "50005\n"),
        ],
    );
    check(&findings, "memory", Verdict::Problem, "29.3 MiB of 4.0 GiB available");
    check(&findings, "temperature", Verdict::Problem, "91.0 °C at thermal_zone0");
    check(&findings, "throttling", Verdict::Problem, "throttled now: under-voltage, throttled");
    check(&findings, "processor", Verdict::Warning, "cores ?: governor powersave, ? of 1800 MHz");
    check(&findings, "clock", Verdict::Warning, "1970-01-01 UTC: never set; file names contain the time");
    let findings = look("schedutil", &[("sys/devices/platform/soc/soc:firmware/get_throttled", "20000\n")]);
    check(&findings, "throttling", Verdict::Warning, "not now, but since boot: frequency capped");
    let limited = "cores ?: governor schedutil, ? of 1800 MHz, limited to 1000 MHz";
    check(&findings, "processor", Verdict::Warning, limited);
}

#[test]
fn what_cannot_be_determined_is_unknown() {
    let (_folder, roots) = tree(&[("dev/vcio", "")]);
    let findings = examine(&roots, &environment(), None);
    check(&findings, "memory", Verdict::Unknown, "no /proc/meminfo");
    check(&findings, "temperature", Verdict::Unknown, "no thermal zone");
    let throttling = "no firmware flags, cooling devices or over-current counters; \
                      see `vcgencmd get_throttled`";
    check(&findings, "throttling", Verdict::Unknown, throttling);
    check(&findings, "processor", Verdict::Unknown, "no CPU frequency scaling");
}

#[test]
fn each_error_of_a_configuration_is_a_problem() {
    let (_folder, roots) = tree(&[]);
    let config = crate::config::parse("a.toml", "package = 3\n[source]\nkind = \"none\"\n");
    let findings = examine(&roots, &environment(), Some(&config));
    let problems: Vec<_> = findings.iter().filter(|finding| finding.subject == "configuration").collect();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].found.starts_with("a.toml:1: package"), "{problems:?}");
    // The machine is checked all the same.
    assert!(findings.iter().any(|finding| finding.subject == "clock"));
}

#[test]
fn findings_are_in_columns_with_advice_below() {
    let findings = [Finding::ok("clock", "fine"), Finding::problem("pin a", "in use", "free it")];
    let expected = "ok       clock  fine\nproblem  pin a  in use\n                -> free it\n";
    assert_eq!(text(&findings), expected);
}
