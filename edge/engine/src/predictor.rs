//! The one way from an image to its mask: preprocessing, the model, and the inverse map to the image's own pixels.
//!
//! An image that is larger than a tile, if there are tiles, passes tile by tile, each as an image of its own; the mask then has
//! the image's size. Camera frames, image files and the scoring of datasets all pass through it, on workstation and board. Knows
//! nothing of files, labels or threads.

use std::path::Path;

use unet_shared::image::ImageView;
use unet_shared::mask::MaskError;
use unet_shared::preprocess::{Placement, Preprocess, PreprocessError, Preprocessor};
use unet_shared::tiles::{Grid, Tile, Tiles};

use crate::field_of_view::TilesNote;
use crate::inference::{EngineOptions, InferenceError};
use crate::package::{Package, PackageError};
use crate::pixel_values::{AsItIs, join_tile, resize_into};
use crate::segmenter::{Int8Segmenter, SegmentError, Segmenter};

/// Why an image has no mask.
#[derive(Debug, thiserror::Error)]
pub enum PredictError {
    /// The image does not go through preprocessing.
    #[error("preprocessing failed")]
    Preprocess(#[from] PreprocessError),
    /// The model failed.
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// The mask cannot be brought to the size asked for.
    #[error("mask cannot be resized")]
    Mask(#[from] MaskError),
    /// A mask was asked for before an image, or before the last of its tiles.
    #[error("expected an image, all of its tiles, before its mask")]
    NoImage,
}

/// Why a package cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file is not a sound package.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// The engine refuses its model or its golden vectors.
    #[error(transparent)]
    Inference(#[from] InferenceError),
    /// The manifest's preprocessing is invalid.
    #[error("package has invalid preprocessing")]
    Preprocess(#[from] PreprocessError),
}

/// A model with its preprocessing, and the buffers that one image leaves for the next.
#[derive(Debug)]
pub struct Predictor<S> {
    preprocessor: Preprocessor,
    segmenter: S,
    tiles: Option<Tiles>,
    state: State,
    planes: Vec<u8>,
    mask: Vec<u8>,
    // The mask of an image of several tiles, at the image's size.
    joined: Vec<u8>,
    resized: Vec<u8>,
}

/// How far the current image is.
#[derive(Debug)]
enum State {
    /// No image, or one that failed.
    Nothing,
    /// A tile's planes are ready.
    Prepared { placement: Placement, tile: Tile },
    /// The mask of an image that is not cut is ready, at the model's size.
    Whole { placement: Placement },
    /// The masks of the first `done` of `count` tiles are joined.
    Joined { done: usize, count: usize, image: (usize, usize) },
}

/// The mask of a frame: at the model's size, or at the frame's if it was cut into tiles.
#[derive(Debug, Clone, Copy)]
pub struct FrameMask<'a> {
    /// The class of each pixel, row by row.
    pub classes: &'a [u8],
    /// Width and height of the mask.
    pub size: (u32, u32),
    /// The rectangle of the mask that the frame fills.
    pub placement: Placement,
}

impl Predictor<Int8Segmenter> {
    /// Loads a package file with the fastest instruction set of this CPU and one thread, and re-runs its golden vectors.
    ///
    /// # Errors
    ///
    /// When the file is not a package, or the engine refuses it.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        Predictor::from_package(&Package::read(path)?, &EngineOptions::default())
    }

    /// As [`Predictor::load`], from a package that has been read.
    ///
    /// # Errors
    ///
    /// As [`Predictor::load`].
    pub fn from_package(package: &Package, options: &EngineOptions) -> Result<Self, LoadError> {
        let segmenter = Int8Segmenter::load_with(package, options)?;
        Ok(Predictor::new(segmenter, package.manifest.preprocess)?.with_tiles(package.manifest.tiles))
    }
}

impl<S: Segmenter> Predictor<S> {
    /// A predictor by a model that takes what `spec` describes.
    ///
    /// # Errors
    ///
    /// If `spec` is invalid.
    pub fn new(segmenter: S, spec: Preprocess) -> Result<Self, PreprocessError> {
        Ok(Predictor {
            preprocessor: Preprocessor::new(spec)?,
            segmenter,
            tiles: None,
            state: State::Nothing,
            planes: vec![0; spec.input_len()],
            mask: vec![0; spec.width as usize * spec.height as usize],
            joined: Vec::new(),
            resized: Vec::new(),
        })
    }

    /// The same, with images that are larger than a tile cut into tiles.
    #[must_use]
    pub fn with_tiles(self, tiles: Option<Tiles>) -> Self {
        Predictor { tiles, ..self }
    }

    /// The class of each pixel of `image`, row by row.
    ///
    /// # Errors
    ///
    /// When the image cannot be preprocessed, or the model fails.
    pub fn predict(&mut self, image: &ImageView<'_>) -> Result<&[u8], PredictError> {
        for tile in self.grid(image.width(), image.height()).tiles() {
            self.prepare(image, tile)?;
            self.segment()?;
        }
        self.mask_at(image.width(), image.height())
    }

    /// The tiles of an image of this size; one if it is not cut.
    pub fn grid(&self, width: usize, height: usize) -> Grid {
        Grid::new(self.tiles, width, height)
    }

    /// First step of [`Predictor::predict`], for each tile of the image's grid in order: from the tile's pixels to
    /// [`Predictor::planes`]. Returns where the tile lies in the model's input.
    ///
    /// # Errors
    ///
    /// When the image is too large, a row of it is missing, or the tile is not the next one of the image.
    pub fn prepare(&mut self, image: &ImageView<'_>, tile: Tile) -> Result<Placement, PredictError> {
        // A failure must not leave the state of another image behind.
        let before = std::mem::replace(&mut self.state, State::Nothing);
        let follows = matches!(before, State::Joined { done, count, image }
            if (done, count, image) == (tile.index, tile.count, tile.image));
        if (image.width(), image.height()) != tile.image || tile.index > 0 && !follows {
            return Err(PredictError::NoImage);
        }
        let part = image.crop_to(&tile).map_err(PreprocessError::Image)?;
        let placement = self.preprocessor.run(&part, &mut self.planes)?;
        if tile.index == 0 && !tile.is_whole() {
            // Every pixel is kept by a tile, so old content is of no matter.
            self.joined.resize(image.width() * image.height(), 0);
        }
        self.state = State::Prepared { placement, tile };
        Ok(placement)
    }

    /// Second step: from the planes to [`Predictor::mask`], whose kept part is joined to those of the tiles before.
    ///
    /// # Errors
    ///
    /// When no tile is prepared, or the model fails.
    pub fn segment(&mut self) -> Result<(), PredictError> {
        let State::Prepared { placement, tile } = std::mem::replace(&mut self.state, State::Nothing) else {
            return Err(PredictError::NoImage);
        };
        self.segmenter.segment(&self.planes, &mut self.mask)?;
        if tile.is_whole() {
            self.state = State::Whole { placement };
            return Ok(());
        }
        let spec = self.preprocessor.spec();
        join_tile(&self.mask, spec, placement, &tile, &mut self.resized, &mut self.joined)?;
        self.state = State::Joined { done: tile.index + 1, count: tile.count, image: tile.image };
        Ok(())
    }

    /// The mask of the last image.
    ///
    /// # Errors
    ///
    /// When there is no image, or a tile of it is missing.
    pub fn frame_mask(&self) -> Result<FrameMask<'_>, PredictError> {
        match self.state {
            State::Whole { placement } => {
                let spec = self.preprocessor.spec();
                Ok(FrameMask { classes: &self.mask, size: (spec.width, spec.height), placement })
            }
            State::Joined { done, count, image: (width, height) } if done == count => {
                // Sides of an image are at most SIDE_MAX.
                let (width, height) = (width as u32, height as u32);
                let placement = Placement { x: 0, y: 0, width, height };
                Ok(FrameMask { classes: &self.joined, size: (width, height), placement })
            }
            _ => Err(PredictError::NoImage),
        }
    }

    /// Third step: the mask at another size of the image, such as its own or its label's, by nearest neighbour.
    ///
    /// # Errors
    ///
    /// When there is no image, a tile of it is missing, or the size is 0 or too large.
    pub fn mask_at(&mut self, width: usize, height: usize) -> Result<&[u8], PredictError> {
        let mut resized = std::mem::take(&mut self.resized);
        let done = self.mask_into(width, height, &mut resized);
        self.resized = resized;
        Ok(match (done?, &self.state) {
            (AsItIs(true), State::Joined { .. }) => &self.joined,
            (AsItIs(true), _) => &self.mask,
            (AsItIs(false), _) => &self.resized,
        })
    }

    /// Writes the mask at a size to `out`, unless it has that size.
    fn mask_into(&self, width: usize, height: usize, out: &mut Vec<u8>) -> Result<AsItIs, PredictError> {
        let FrameMask { classes, size, placement } = self.frame_mask()?;
        Ok(resize_into(classes, size, placement, (width, height), out)?)
    }

    /// How images are cut.
    pub fn tiles(&self) -> Option<Tiles> {
        self.tiles
    }

    /// What that means for this model, if images are cut.
    pub fn tiles_note(&self) -> Option<TilesNote> {
        let (preprocess, field_of_view) = (*self.spec(), self.segmenter.field_of_view());
        self.tiles.map(|tiles| TilesNote { tiles, preprocess, field_of_view })
    }

    /// The preprocessing.
    pub fn spec(&self) -> &Preprocess {
        self.preprocessor.spec()
    }

    /// The last tile, or image that is not cut, as the model's input, u8, `C*H*W`, before normalisation.
    pub fn planes(&self) -> &[u8] {
        &self.planes
    }

    /// The class of each pixel of the model's input, `H*W`, of the last tile or image that is not cut.
    pub fn mask(&self) -> &[u8] {
        &self.mask
    }

    /// The model.
    pub fn segmenter(&self) -> &S {
        &self.segmenter
    }

    /// The model, for the logits of the last image.
    pub fn segmenter_mut(&mut self) -> &mut S {
        &mut self.segmenter
    }
}

#[cfg(test)]
mod tests {
    use unet_shared::image::PixelFormat;
    use unet_test_support::tiny_package;

    use super::*;
    use crate::inference::Engine;

    fn predictor() -> Predictor<Int8Segmenter> {
        let engine =
            Engine::from_onnx(&tiny_package::model(), &tiny_package::input(), &tiny_package::output()).unwrap();
        let spec = tiny_package::preprocess();
        Predictor::new(Int8Segmenter::new(engine, &spec), spec).unwrap()
    }

    #[test]
    fn an_image_of_twice_the_models_size_gets_a_mask_of_its_own_size() {
        let pixels: Vec<u8> = (0..32 * 32).map(|index| if index % 32 < 16 { 200 } else { 10 }).collect();
        let view = ImageView::packed(&pixels, 32, 32, PixelFormat::Gray8).unwrap();
        let mut predictor = predictor();
        let expected: Vec<u8> = pixels.iter().map(|&pixel| u8::from(pixel > tiny_package::THRESHOLD)).collect();
        assert_eq!(predictor.predict(&view).unwrap(), expected);
        assert_eq!(predictor.mask().len(), tiny_package::PIXELS);
        assert_eq!(
            predictor.planes(),
            predictor.mask().iter().map(|&id| if id == 1 { 200 } else { 10 }).collect::<Vec<u8>>()
        );
        // The mask of a label at half the image's size.
        assert_eq!(predictor.mask_at(16, 16).unwrap().len(), 256);
    }

    #[test]
    fn without_an_image_there_is_no_mask() {
        assert!(matches!(predictor().mask_at(16, 16), Err(PredictError::NoImage)));
    }

    /// Noise, and the classes that the model gives each pixel where nothing is scaled.
    fn noise(width: usize, height: usize) -> (Vec<u8>, Vec<u8>) {
        let pixels: Vec<u8> = (0..width * height).map(|index| (index * 7919 % 251) as u8).collect();
        let mask = pixels.iter().map(|&pixel| u8::from(pixel > tiny_package::THRESHOLD)).collect();
        (pixels, mask)
    }

    #[test]
    fn a_large_image_is_cut_into_tiles_and_its_mask_joined() {
        for (width, height) in [(40, 56), (41, 33), (17, 16), (64, 16)] {
            let (pixels, expected) = noise(width, height);
            let view = ImageView::packed(&pixels, width, height, PixelFormat::Gray8).unwrap();
            for tiles in ["16,0", "16,2", "16,8", "16,14"] {
                let mut predictor = predictor().with_tiles(Some(tiles.parse().unwrap()));
                assert!(predictor.predict(&view).unwrap() == expected, "{width}x{height}, {tiles}");
                let mask = predictor.frame_mask().unwrap();
                assert_eq!((mask.classes, mask.size), (&expected[..], (width as u32, height as u32)));
                // A label at half the image's size.
                let half = predictor.mask_at(width / 2, height / 2).unwrap();
                assert_eq!(half.len(), (width / 2) * (height / 2));
                if width % 2 == 0 && height % 2 == 0 {
                    assert_eq!(half[0], expected[width + 1]);
                }
            }
            assert!(predictor().predict(&view).unwrap() != expected, "{width}x{height}, scaled");
        }
    }

    #[test]
    fn an_image_as_large_as_a_tile_is_not_cut() {
        let (pixels, _) = noise(32, 30);
        let view = ImageView::packed(&pixels, 32, 30, PixelFormat::Gray8).unwrap();
        let (mut cut, mut whole) = (predictor().with_tiles(Some("32,8".parse().unwrap())), predictor());
        assert_eq!(cut.predict(&view).unwrap(), whole.predict(&view).unwrap());
        assert_eq!(cut.frame_mask().unwrap().size, (16, 16));
    }

    #[test]
    fn a_mask_needs_all_tiles_in_order() {
        let (pixels, _) = noise(40, 16);
        let view = ImageView::packed(&pixels, 40, 16, PixelFormat::Gray8).unwrap();
        let mut predictor = predictor().with_tiles(Some("16,4".parse().unwrap()));
        let tiles: Vec<Tile> = predictor.grid(40, 16).tiles().collect();
        assert_eq!(tiles.len(), 3);
        predictor.prepare(&view, tiles[0].clone()).unwrap();
        predictor.segment().unwrap();
        assert!(matches!(predictor.mask_at(40, 16), Err(PredictError::NoImage)));
        assert!(matches!(predictor.prepare(&view, tiles[2].clone()), Err(PredictError::NoImage)));
        assert!(matches!(predictor.segment(), Err(PredictError::NoImage)));
    }

    #[test]
    fn a_file_that_is_no_package_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.unet");
        std::fs::write(&path, b"no package").unwrap();
        assert!(matches!(Predictor::load(&path), Err(LoadError::Package(_))));
    }
}
