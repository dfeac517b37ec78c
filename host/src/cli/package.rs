//! `unet-host package RUN`.

use std::path::PathBuf;

use unet_engine::exit::Exit;
use unet_host::error::HostError;
use unet_host::steps::package::GoldenSource;
use unet_host::steps::{OpenRun, package};

/// What to pack.
#[derive(Debug, clap::Args)]
pub struct Package {
    /// Folder of the run
    run: PathBuf,
    /// Package to write (default: NAME.unet in the run's folder)
    #[arg(long)]
    output: Option<PathBuf>,
    /// What golden vectors are made from: frames of the validation split, which the package then contains, or synthetic
    /// ones
    #[arg(long, value_enum, default_value_t = GoldenSource::Frames)]
    golden: GoldenSource,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Package {
    pub fn run(self) -> Result<Exit, HostError> {
        let report = package::package(&OpenRun::open(&self.run)?, self.output.as_deref(), self.golden)?;
        super::print(self.json, &report, || text(&report))?;
        Ok(Exit::Success)
    }
}

/// The report as text.
pub fn text(report: &package::PackageReport) -> String {
    format!(
        "package: {} ({} bytes, {} golden vectors passed)\nsha256: {}\n",
        report.path.display(),
        report.bytes,
        report.golden,
        report.digest,
    )
}
