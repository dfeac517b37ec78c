//! `unet-host check DATA`.

use std::path::PathBuf;

use unet_host::check;
use unet_host::error::{HostError, exit};
use unet_host::progress::Progress;

/// What to look at.
#[derive(Debug, clap::Args)]
pub struct Check {
    /// The data set's folder
    data: PathBuf,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}
