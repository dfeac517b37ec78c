//! How fast the cores run, and who decides on it.

use super::Roots;
use super::roots::{entries, number, text};

/// Cores that have one clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clock {
    /// Which cores, as the kernel lists them.
    pub cores: String,
    /// What decides.
    pub governor: Option<String>,
    /// What sets the clock.
    pub driver: Option<String>,
    /// How fast they run.
    pub megahertz: Option<u64>,
    /// How fast they may run.
    pub limit: Option<u64>,
    /// How fast they could run.
    pub most: Option<u64>,
}

/// All of them; none where the kernel does not set clocks, as in a virtual machine.
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

/// How fast the fastest core runs now.
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
