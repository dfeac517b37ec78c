//! How labels are read, from the command line, for `check` and `train`.

use unet_data::DatasetFile;
use unet_shared::label::LabelValue;

/// What adds to `dataset.toml`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct LabelOptions {
    /// Label values to ignore, gray values or "#rrggbb", separated by commas, in addition to those of dataset.toml
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true)]
    pub ignore: Vec<LabelValue>,
    /// Give label values that smoothing, scaling or compression left between the classes the class of the nearest value
    #[arg(long)]
    pub snap: bool,
}

impl LabelOptions {
    /// Adds the options to what `dataset.toml` or the layout says.
    pub fn add_to(&self, file: &mut Option<DatasetFile>) {
        if !self.ignore.is_empty() || self.snap {
            let file = file.get_or_insert_default();
            file.also_ignore.clone_from(&self.ignore);
            file.also_snap = self.snap;
        }
    }
}
