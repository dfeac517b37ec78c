//! Facts about the machine: its name and this process's peak memory. Temperature, clocks and memory of a board, as Linux reports
//! them, are in the files below.

pub mod heat;
pub mod memory;
pub mod processor;
pub mod roots;

pub use roots::Roots;

/// Architecture and operating system, such as `aarch64-linux`.
pub fn name() -> String {
    format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)
}

/// This process's peak resident memory in KiB, as Linux reports it (`VmHWM`); `None` elsewhere.
pub fn peak_rss_kib() -> Option<u64> {
    parse_peak_rss_kib(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn parse_peak_rss_kib(status: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    value.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peak_is_read_from_the_status_file() {
        assert_eq!(parse_peak_rss_kib("Name:\tx\nVmPeak:\t  9 kB\nVmHWM:\t   5124 kB\nVmRSS:\t 1 kB\n"), Some(5124));
        assert_eq!(parse_peak_rss_kib("Name:\tx\n"), None);
        assert_eq!(parse_peak_rss_kib("VmHWM:\tmuch kB\n"), None);
    }
}
