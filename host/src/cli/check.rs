//! `unet-host check DATA`.

use std::path::PathBuf;

use unet_data::OpenOptions;
use unet_engine::exit::Exit;
use unet_host::check::{CheckOptions, LabelOptions, check};
use unet_host::config::{FolderOptions, SampleOptions};
use unet_host::dataset::augment::NamedList;
use unet_host::error::HostError;
use unet_host::progress::Progress;
use unet_host::steps::contact_sheet::{self, ContactSheetOptions};

/// What to check.
#[derive(Debug, clap::Args)]
#[command(mut_group("InputOptions", |group| group.requires("augmented")))]
pub struct Check {
    /// Folder of the dataset
    data: PathBuf,
    /// Share of the pairs for validation, if the dataset has no split folders
    #[arg(long, default_value_t = OpenOptions::default().val_ratio)]
    val_ratio: f64,
    /// Seed of that split
    #[arg(long, default_value_t = OpenOptions::default().seed)]
    split_seed: u64,
    #[command(flatten)]
    folders: FolderOptions,
    #[command(flatten)]
    labels: LabelOptions,
    #[command(flatten)]
    samples: SampleOptions,
    /// Write a contact sheet: training images as a network will see them, with this preset or these operations (default: those
    /// of `train`)
    #[arg(long, value_name = "PRESET|OPERATIONS")]
    augmented: Option<Option<NamedList>>,
    #[command(flatten)]
    sheet: ContactSheetOptions,
    /// Name every file of every finding
    #[arg(long)]
    verbose: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Check {
    pub fn run(self) -> Result<Exit, HostError> {
        let open = OpenOptions {
            val_ratio: self.val_ratio,
            seed: self.split_seed,
            choice: self.folders.choice(),
            ..OpenOptions::default()
        };
        let SampleOptions { range, bands } = self.samples;
        let options = CheckOptions { open, skip_unreadable: false, labels: self.labels, bands, range };
        let mut progress: Option<(Progress, usize)> = None;
        let checked = check(&self.data, &options, &mut |done, all| {
            let (progress, shown) = progress.get_or_insert_with(|| (Progress::new("checking", all as u64, "files"), 0));
            progress.inc(done.saturating_sub(*shown) as u64);
            *shown = done;
        })?;
        if let Some((progress, _)) = progress {
            progress.finish();
        }
        let report = &checked.report;
        super::print(self.json, report, || report.text(self.verbose))?;
        let has_errors = report.has_errors();
        match self.augmented {
            Some(_) if has_errors => unet_engine::error::say("no contact sheet: the dataset has errors"),
            Some(names) => {
                let line = contact_sheet::write(checked, &names.unwrap_or_default(), &self.sheet)?;
                unet_engine::error::say(line);
            }
            None => {}
        }
        Ok(if has_errors { Exit::Fault } else { Exit::Success })
    }
}
