//! `unet-host runs [FOLDER]`.

use std::path::PathBuf;

use unet_data::counted;
use unet_engine::exit::Exit;
use unet_host::error::HostError;
use unet_host::report::ReportTable;
use unet_host::steps::runs::{RunTable, read};

use super::table::aligned;

/// Which runs to compare.
#[derive(Debug, clap::Args)]
pub struct Runs {
    /// Folder of run folders
    #[arg(default_value = "runs/train")]
    folder: PathBuf,
    /// Write a page with the table and the curves of all runs here
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Runs {
    pub fn run(self) -> Result<Exit, HostError> {
        if let Some(path) = &self.report {
            unet_engine::atomic_file::check(path).map_err(|source| HostError::Write { path: path.clone(), source })?;
        }
        let table = read(&self.folder)?;
        if let Some(path) = &self.report {
            table.write_report(path)?;
        }
        super::print(self.json, &table, || {
            let mut text = text(&table);
            if let Some(path) = &self.report {
                text += &format!("report: {}\n", path.display());
            }
            text
        })?;
        Ok(Exit::Success)
    }
}

fn text(table: &RunTable) -> String {
    let mut text = format!("{}: {}\n", table.folder.display(), counted(table.runs.len(), "run"));
    let lines = |table: ReportTable| aligned(&[vec![table.columns], table.rows].concat());
    if !table.runs.is_empty() {
        text += "mean IoU on validation images; spread: highest minus lowest of the last tenth of the epochs\n";
        text += &lines(table.rows());
    }
    if !table.series.is_empty() {
        text += "series: mean IoU of runs that differ only in their seed or fold, each counted once, and its standard deviation\n";
        text += &lines(table.series_rows());
    }
    if !table.unreadable.is_empty() {
        text += &format!("{} left out:\n", counted(table.unreadable.len(), "folder"));
        text.extend(table.unreadable.iter().map(|left| format!("  {}\n", left.reason)));
    }
    text
}
