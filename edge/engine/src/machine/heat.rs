//! Temperatures, and whether the machine throttles itself because of them or of its power supply.

use std::path::Path;

use super::Roots;
use super::roots::{entries, number, text};

/// A temperature sensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone {
    /// Linux's name for it.
    pub name: String,
    /// Temperature.
    pub celsius: f64,
}

/// All sensors that report now; an unpowered zone of a Jetson does not.
pub fn zones(roots: &Roots) -> Vec<Zone> {
    let zone = |folder: &Path| {
        let millidegrees: i64 = number(&folder.join("temp"))?;
        let name = text(&folder.join("type")).unwrap_or_else(|| file_name(folder));
        // Some firmware reports a value far below zero for a missing sensor.
        (millidegrees > -100_000).then(|| Zone { name, celsius: millidegrees as f64 / 1e3 })
    };
    entries(&roots.sys.join("class/thermal"), "thermal_zone").iter().filter_map(|folder| zone(folder)).collect()
}

/// The warmest sensor.
pub fn hottest(roots: &Roots) -> Option<Zone> {
    zones(roots).into_iter().max_by(|one, other| one.celsius.total_cmp(&other.celsius))
}

/// Why the machine runs slower than it could.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Throttling {
    /// Active reasons.
    pub now: Vec<String>,
    /// Reasons at some time since boot.
    pub since_start: Vec<String>,
}

impl Throttling {
    fn add(&mut self, reason: &str, now: bool, since_start: bool) {
        for (holds, reasons) in [(now, &mut self.now), (since_start, &mut self.since_start)] {
            if holds && !reasons.iter().any(|known| known == reason) {
                reasons.push(reason.to_owned());
            }
        }
    }
}

/// Why the machine is throttled; `None` if nothing reports it: no Raspberry Pi firmware, no cooling devices, and no over-current
/// counters of a Jetson.
pub fn throttling(roots: &Roots) -> Option<Throttling> {
    let mut found = Throttling::default();
    let told = [pi_firmware(roots, &mut found), cooling(roots, &mut found), monitors(roots, &mut found)];
    told.contains(&true).then_some(found)
}

/// The flags of a Raspberry Pi's firmware: bits 0 to 3 are current, 16 to 19 since boot.
fn pi_firmware(roots: &Roots, found: &mut Throttling) -> bool {
    const FLAGS: [&str; 4] = ["under-voltage", "frequency capped", "throttled", "soft temperature limit"];
    let platform = roots.sys.join("devices/platform");
    let firmware = entries(&platform, "soc").into_iter().flat_map(|soc| entries(&soc, "soc"));
    let flags = firmware
        .filter(|folder| file_name(folder).ends_with(":firmware"))
        .filter_map(|folder| text(&folder.join("get_throttled")))
        .find_map(|flags| u32::from_str_radix(flags.trim_start_matches("0x"), 16).ok());
    let Some(flags) = flags else { return false };
    for (bit, reason) in FLAGS.iter().enumerate() {
        found.add(reason, flags >> bit & 1 == 1, flags >> (bit + 16) & 1 == 1);
    }
    true
}

/// Cooling devices that throttle. A running fan does not.
fn cooling(roots: &Roots, found: &mut Throttling) -> bool {
    let mut told = false;
    for folder in entries(&roots.sys.join("class/thermal"), "cooling_device") {
        let Some(state) = number::<i64>(&folder.join("cur_state")) else { continue };
        let name = text(&folder.join("type")).unwrap_or_else(|| file_name(&folder));
        let lower = name.to_ascii_lowercase();
        // The offset is a setting, not a state.
        if lower.contains("fan") || lower.contains("offset") {
            continue;
        }
        told = true;
        found.add(&format!("cooling device {name}"), state > 0, false);
    }
    told
}

/// A Raspberry Pi's supply by the mainline kernel's driver, and a Jetson's counters of over-current events.
fn monitors(roots: &Roots, found: &mut Throttling) -> bool {
    let mut told = false;
    for folder in entries(&roots.sys.join("class/hwmon"), "hwmon") {
        if text(&folder.join("name")).as_deref() == Some("rpi_volt")
            && let Some(alarm) = number::<u32>(&folder.join("in0_lcrit_alarm"))
        {
            told = true;
            found.add("under-voltage", alarm != 0, false);
        }
        for counter in entries(&folder, "oc").iter().filter(|path| file_name(path).ends_with("_event_cnt")) {
            let Some(count) = number::<u64>(counter) else { continue };
            told = true;
            found.add("over-current", false, count > 0);
        }
    }
    told
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::roots::tree;
    use super::*;

    fn texts(reasons: &[&str]) -> Vec<String> {
        reasons.iter().map(|&reason| reason.to_owned()).collect()
    }

    #[test]
    fn the_warmest_zone_counts() {
        let (_folder, roots) = tree(&[
            ("sys/class/thermal/thermal_zone0/temp", "48312\n"),
            ("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n"),
            ("sys/class/thermal/thermal_zone1/temp", "61500\n"),
            ("sys/class/thermal/thermal_zone2/temp", "-256000\n"),
            ("sys/class/thermal/thermal_zone3/type", "gpu-thermal\n"),
        ]);
        assert_eq!(zones(&roots).len(), 2);
        assert_eq!(hottest(&roots), Some(Zone { name: "thermal_zone1".to_owned(), celsius: 61.5 }));
        let (_folder, roots) = tree(&[]);
        assert_eq!(hottest(&roots), None);
    }

    #[test]
    fn flags_of_the_pi_are_told_apart() {
        for soc in ["soc/soc", "soc@107c000000/soc@107c000000"] {
            // Capped and throttled now and since boot; the voltage was low.
            let (_folder, roots) = tree(&[(&format!("sys/devices/platform/{soc}:firmware/get_throttled"), "70006\n")]);
            let found = throttling(&roots).unwrap();
            assert_eq!(found.now, texts(&["frequency capped", "throttled"]));
            assert_eq!(found.since_start, texts(&["under-voltage", "frequency capped", "throttled"]));
        }
        let (_folder, roots) = tree(&[("sys/devices/platform/soc/soc:firmware/get_throttled", "0\n")]);
        assert_eq!(throttling(&roots), Some(Throttling::default()));
    }

    #[test]
    fn what_is_cooled_by_slowness_is_told_and_a_fan_is_not() {
        let device = |at: u32, name, state| {
            let folder = format!("sys/class/thermal/cooling_device{at}");
            [("type", name), ("cur_state", state)].map(|(file, text)| (format!("{folder}/{file}"), text))
        };
        let files = [device(0, "pwm-fan", "3"), device(1, "cpufreq-cpu0", "2"), device(2, "intel_powerclamp", "-1")];
        let files: Vec<(&str, &str)> = files.iter().flatten().map(|(path, text)| (path.as_str(), *text)).collect();
        let (_folder, roots) = tree(&files);
        assert_eq!(throttling(&roots).unwrap().now, texts(&["cooling device cpufreq-cpu0"]));
        // A fan does not tell how fast the machine is.
        let (_folder, roots) = tree(&files[..2]);
        assert_eq!(throttling(&roots), None);
    }

    #[test]
    fn monitors_tell_of_the_supply() {
        let (_folder, roots) = tree(&[
            ("sys/class/hwmon/hwmon0/name", "rpi_volt\n"),
            ("sys/class/hwmon/hwmon0/in0_lcrit_alarm", "1\n"),
            ("sys/class/hwmon/hwmon3/oc1_event_cnt", "0\n"),
            ("sys/class/hwmon/hwmon3/oc3_event_cnt", "7\n"),
        ]);
        let expected = Throttling { now: texts(&["under-voltage"]), since_start: texts(&["over-current"]) };
        assert_eq!(throttling(&roots), Some(expected));
        let (_folder, roots) = tree(&[("sys/class/hwmon/hwmon0/name", "acpitz\n")]);
        assert_eq!(throttling(&roots), None);
    }
}
