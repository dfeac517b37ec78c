//! `unet-host models`.

use unet_engine::exit::Exit;
use unet_host::config::{parse_channels, parse_size};
use unet_host::error::HostError;
use unet_host::model::UNetConfig;
use unet_host::model::preset::Preset;
use unet_host::progress::Progress;
use unet_host::steps::models::{ModelCosts, ModelsOptions, models};
use unet_shared::preprocess::Channels;

use super::table::aligned;

/// The images that the networks are for, and a network to list beside those with names.
#[derive(Debug, clap::Args)]
pub struct Models {
    /// Another network to list beside those with names.
    #[command(flatten)]
    network: UNetConfig,
    /// Input size, WIDTHxHEIGHT
    #[arg(long, default_value = "480x352", value_parser = parse_size)]
    size: (u32, u32),
    /// Channels of the input, 1 or 3
    #[arg(long, default_value = "3", value_parser = parse_channels)]
    channels: Channels,
    /// Classes of the masks
    #[arg(long, default_value_t = 11)]
    classes: usize,
    /// Frames to time for each network
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    frames: u32,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

impl Models {
    pub fn run(self) -> Result<Exit, HostError> {
        let network = self.network.with_listed_widths();
        let options = ModelsOptions {
            other: (network != UNetConfig::default()).then_some(network),
            size: self.size,
            channels: self.channels,
            classes: self.classes,
            threads: rayon::current_num_threads(),
            frames: self.frames as usize,
        };
        let progress =
            Progress::new("timing", (Preset::ALL.len() + usize::from(options.other.is_some())) as u64, "networks");
        let costs = models(&options, &mut || progress.inc(1))?;
        progress.finish();
        super::print(self.json, &costs, || text(&costs))?;
        Ok(Exit::Success)
    }
}

fn text(costs: &ModelCosts) -> String {
    let headings = ["model", "parameters", "MAC/pixel", "GMAC", "MiB", "ms", "network"];
    let mut rows = vec![headings.map(str::to_owned).to_vec()];
    rows.extend(costs.models.iter().map(|cost| {
        vec![
            cost.model.map_or_else(|| "given".to_owned(), name_of),
            cost.parameters.to_string(),
            format!("{:.0}", cost.multiply_accumulates_per_pixel),
            format!("{:.2}", cost.multiply_accumulates as f64 / 1e9),
            cost.memory_bytes.map_or_else(|| "none".to_owned(), |bytes| format!("{:.1}", bytes as f64 / 1_048_576.0)),
            format!("{:.2}", cost.frame.median_ms),
            cost.network.clone(),
        ]
    }));
    format!(
        "frames of {}x{}: int8, kernel {}, {}; MiB: weights and buffers of the engine; ms: median of {}\n{}",
        costs.width,
        costs.height,
        costs.kernel,
        unet_data::counted(costs.threads, "thread"),
        unet_data::counted(costs.models.first().map_or(0, |cost| cost.frame.frames), "frame"),
        aligned(&rows),
    )
}

/// The name by which `train --model` knows it.
fn name_of(preset: Preset) -> String {
    use clap::ValueEnum as _;
    preset.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}
