//! The flag of all verbs that predict images: how large ones are cut.

use clap::Args;
use unet_engine::predictor::Predictor;
use unet_engine::segmenter::Segmenter;
use unet_shared::tiles::TilesChoice;

/// How images are cut.
#[derive(Debug, Clone, Copy, Args)]
pub struct TilesArgument {
    /// Cut images larger than SIZE into tiles: 512, 512,128 or 640x480,64, in pixels of the image; or none. By default OVERLAP is
    /// a quarter of the smaller side, rounded up to a multiple of 16, and at most half of the side. Tiles of the model's input
    /// size are not scaled [default: as in training]
    #[arg(long, value_name = "SIZE[,OVERLAP]", allow_hyphen_values = true)]
    pub tiles: Option<TilesChoice>,
}

impl TilesArgument {
    /// The predictor of a package with its own tiles, or with those of the flag; says what they mean.
    pub fn apply<S: Segmenter>(self, predictor: Predictor<S>) -> Predictor<S> {
        let trained = predictor.tiles();
        let predictor = predictor.with_tiles(TilesChoice::or_trained(self.tiles, trained));
        if let Some(note) = predictor.tiles_note() {
            unet_engine::error::say(note);
        }
        predictor
    }
}
