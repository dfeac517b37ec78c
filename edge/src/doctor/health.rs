//! The machine itself: memory, temperature, throttling, CPU frequency, time.

use std::time::Duration;

use super::Finding;
use unet_engine::machine::roots::text;
use unet_engine::machine::{Roots, heat, memory as machine_memory, processor as machine_processor};

pub(super) fn board(roots: &Roots) -> Finding {
    let model = text(&roots.proc.join("device-tree/model"));
    let release = text(&roots.proc.join("sys/kernel/osrelease"));
    let cores = std::thread::available_parallelism().map_or_else(|_| "?".to_owned(), |cores| cores.to_string());
    let mut parts: Vec<String> = model.into_iter().collect();
    parts.extend(release.map(|release| format!("Linux {release}")));
    parts.push(format!("{}, cores {cores}", unet_engine::machine::name()));
    Finding::ok("machine", parts.join(", "))
}

pub(super) fn memory(roots: &Roots) -> Finding {
    const SUBJECT: &str = "memory";
    const LITTLE: u64 = 128 << 20;
    const TOO_LITTLE: u64 = 32 << 20;
    let Some(memory) = machine_memory::memory(roots) else {
        return Finding::unknown(SUBJECT, "no /proc/meminfo");
    };
    let found = format!("{} of {} available", bytes_text(memory.available), bytes_text(memory.total));
    let advice = "stop other programs";
    match memory.available {
        ..TOO_LITTLE => Finding::problem(SUBJECT, found, advice),
        TOO_LITTLE..LITTLE => Finding::warning(SUBJECT, found, advice),
        _ => Finding::ok(SUBJECT, found),
    }
}

const COOL_IT: &str = "add a heat sink or a fan, or move it to a cooler place";

pub(super) fn temperature(roots: &Roots) -> Finding {
    const SUBJECT: &str = "temperature";
    // A Raspberry Pi throttles at 80, a Jetson near 100.
    const WARM: f64 = 75.0;
    const HOT: f64 = 90.0;
    let Some(zone) = heat::hottest(roots) else {
        return Finding::unknown(SUBJECT, "no thermal zone");
    };
    let found = format!("{:.1} °C at {}", zone.celsius, zone.name);
    if zone.celsius >= HOT {
        Finding::problem(SUBJECT, found, COOL_IT)
    } else if zone.celsius >= WARM {
        Finding::warning(SUBJECT, found, COOL_IT)
    } else {
        Finding::ok(SUBJECT, found)
    }
}

pub(super) fn throttling(roots: &Roots) -> Finding {
    const SUBJECT: &str = "throttling";
    let Some(heat::Throttling { now, since_start }) = heat::throttling(roots) else {
        // A Raspberry Pi without the firmware flags in /sys still has the device that vcgencmd uses.
        let hint = if roots.dev.join("vcio").exists() { "; see `vcgencmd get_throttled`" } else { "" };
        let found = format!("no firmware flags, cooling devices or over-current counters{hint}");
        return Finding::unknown(SUBJECT, found);
    };
    let supply =
        |reasons: &[String]| reasons.iter().any(|reason| matches!(&**reason, "under-voltage" | "over-current"));
    let advice = |reasons: &[String]| {
        if supply(reasons) { "use a power supply and cable rated for the board's full current" } else { COOL_IT }
    };
    if !now.is_empty() {
        Finding::problem(SUBJECT, format!("throttled now: {}", now.join(", ")), advice(&now))
    } else if !since_start.is_empty() {
        let found = format!("not now, but since boot: {}", since_start.join(", "));
        Finding::warning(SUBJECT, found, advice(&since_start))
    } else {
        Finding::ok(SUBJECT, "none")
    }
}

pub(super) fn processor(roots: &Roots) -> Vec<Finding> {
    const SUBJECT: &str = "processor";
    let clocks = machine_processor::clocks(roots);
    if clocks.is_empty() {
        return vec![Finding::unknown(SUBJECT, "no CPU frequency scaling")];
    }
    let finding = |clock: machine_processor::Clock| {
        let megahertz = |value: Option<u64>| value.map_or_else(|| "?".to_owned(), |value| value.to_string());
        let governor = clock.governor.as_deref().unwrap_or("unknown");
        let found = format!(
            "cores {}: governor {governor}, {} of {} MHz",
            clock.cores,
            megahertz(clock.megahertz),
            megahertz(clock.most)
        );
        // With these drivers, powersave scales the frequency with the load.
        let changes = matches!(clock.driver.as_deref(), Some("intel_pstate" | "amd-pstate-epp"));
        if governor == "powersave" && !changes {
            let advice = "echo performance | sudo tee /sys/devices/system/cpu/cpufreq/policy*/scaling_governor";
            return Finding::warning(SUBJECT, found, advice);
        }
        match (clock.limit, clock.most) {
            (Some(limit), Some(most)) if limit < most => {
                let advice = "raise scaling_max_freq of the policy; on a Jetson select a higher mode with nvpmodel";
                Finding::warning(SUBJECT, format!("{found}, limited to {limit} MHz"), advice)
            }
            _ => Finding::ok(SUBJECT, found),
        }
    };
    clocks.into_iter().map(finding).collect()
}

pub(super) fn clock(now: Duration) -> Finding {
    let (year, month, day) = date(now.as_secs() / 86_400);
    let found = format!("{year}-{month:02}-{day:02} UTC");
    if year >= 2024 {
        return Finding::ok("clock", found);
    }
    let advice = "set it: `timedatectl set-ntp true` with a network, else add a battery-backed clock";
    Finding::warning("clock", format!("{found}: never set; file names contain the time"), advice)
}

/// Year, month and day of a day since 1970, in eras of 400 years that begin in March, so that the leap day comes last.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

/// `1.5 GiB`
pub(super) fn bytes_text(bytes: u64) -> String {
    const UNITS: [(u32, &str); 3] = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    match UNITS.iter().find(|(shift, _)| bytes >> shift > 0) {
        Some((shift, unit)) => format!("{:.1} {unit}", bytes as f64 / (1_u64 << shift) as f64),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_days() {
        for (days, expected) in [
            (0, (1970, 1, 1)),
            (59, (1970, 3, 1)),
            (19_723, (2024, 1, 1)),
            (19_782, (2024, 2, 29)),
            (20_417, (2025, 11, 25)),
        ] {
            assert_eq!(date(days), expected);
        }
    }

    #[test]
    fn sizes_are_in_their_largest_unit() {
        for (bytes, expected) in [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (3 << 30, "3.0 GiB")] {
            assert_eq!(bytes_text(bytes), expected);
        }
    }
}
