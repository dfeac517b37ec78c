//! `unet-edge doctor`: checks this board and says what to do.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use unet_edge::clock::{Clock, SystemClock};
use unet_edge::doctor::{Environment, Verdict, count, examine, summary, text};
use unet_edge::{board, config};
use unet_engine::machine::Roots;

use super::{Failure, print, print_json};

/// Check camera, pins, package, disk and the machine itself, and say what to do; exits with 1 if there is a problem
#[derive(Debug, Args)]
pub struct Doctor {
    /// Also check everything that this configuration names
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// Use /sys, /proc and /dev below this folder, for tests
    #[arg(long, value_name = "FOLDER", hide = true)]
    root: Option<PathBuf>,
}

impl Doctor {
    pub fn main(self) -> Result<(), Failure> {
        let roots = self.root.as_deref().map_or_else(Roots::default, Roots::below);
        let microseconds = std::env::var("WATCHDOG_USEC").ok().and_then(|text| text.parse().ok());
        let environment = Environment {
            chips: if self.root.is_some() { Ok(Vec::new()) } else { chips() },
            programs: std::env::var_os("PATH").unwrap_or_default(),
            now: SystemClock.since_1970(),
            watchdog: microseconds.map(Duration::from_micros),
        };
        let config = self.config.as_deref().map(config::read);
        let findings = examine(&roots, &environment, config.as_ref());
        if self.json {
            print_json(&findings)?;
        } else {
            print(&text(&findings))?;
        }
        match count(&findings, Verdict::Problem) {
            0 if self.json => Ok(()),
            0 => print(&format!("{}\n", summary(&findings))),
            _ => Err(Failure::fault(summary(&findings))),
        }
    }
}

#[cfg(target_os = "linux")]
fn chips() -> Result<Vec<board::ChipInfo>, board::BoardError> {
    board::chips()
}

#[cfg(not(target_os = "linux"))]
fn chips() -> Result<Vec<board::ChipInfo>, board::BoardError> {
    Ok(Vec::new())
}
