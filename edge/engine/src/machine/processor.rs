//! Clock frequencies of the cores and their governors.

use super::Roots;
use super::roots::{entries, number, text};

/// Cores that share a clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clock {
    /// The cores, as Linux lists them.
    pub cores: String,
    /// The governor.
    pub governor: Option<String>,
    /// The driver.
    pub driver: Option<String>,
    /// Current frequency.
    pub megahertz: Option<u64>,
    /// Frequency limit.
    pub limit: Option<u64>,
    /// Maximum frequency of the hardware.
    pub most: Option<u64>,
}

/// All clocks; none if Linux does not control them, as in a virtual machine.
pub fn clocks(roots: &Roots) -> Vec<Clock> {
    let clock = |folder: std::path::PathBuf| {
        let megahertz = |name: &str| number::<u64>(&folder.join(name)).map(|kilohertz| kilohertz / 1000);
        Clock {
            cores: text(&folder.join("affected_cpus")).unwrap_or_else(|| "?".to_owned()),
            governor: text(&folder.join("scaling_governor")),
            driver: text(&folder.join("scaling_driver")),
            megahertz: megahertz("scaling_cur_freq"),
            limit: megahertz("scaling_max_freq"),
            most: megahertz("cpuinfo_max_freq"),
        }
    };
    entries(&roots.sys.join("devices/system/cpu/cpufreq"), "policy").into_iter().map(clock).collect()
}

/// Current frequency of the fastest core.
pub fn megahertz(roots: &Roots) -> Option<u64> {
    clocks(roots).iter().filter_map(|clock| clock.megahertz).max()
}

#[cfg(test)]
mod tests {
    use super::super::roots::tree;
    use super::*;

    #[test]
    fn clocks_are_read_in_megahertz() {
        let (_folder, roots) = tree(&[
            ("sys/devices/system/cpu/cpufreq/policy0/affected_cpus", "0 1 2 3\n"),
            ("sys/devices/system/cpu/cpufreq/policy0/scaling_governor", "ondemand\n"),
            ("sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq", "600000\n"),
            ("sys/devices/system/cpu/cpufreq/policy0/cpuinfo_max_freq", "1800000\n"),
            ("sys/devices/system/cpu/cpufreq/policy4/scaling_cur_freq", "1500000\n"),
        ]);
        let expected = Clock {
            cores: "0 1 2 3".to_owned(),
            governor: Some("ondemand".to_owned()),
            driver: None,
            megahertz: Some(600),
            limit: None,
            most: Some(1800),
        };
        assert_eq!((clocks(&roots).len(), &clocks(&roots)[0]), (2, &expected));
        assert_eq!(megahertz(&roots), Some(1500));
        assert_eq!(megahertz(&tree(&[]).1), None);
    }
}
