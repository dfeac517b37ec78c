//! The engine that runs a packaged model: the package format, exact int8 inference, from an image to its mask, and the
//! scoring of a dataset.
//!
//! Workstation and board link this one crate, so that both compute the same bytes. It deliberately knows neither how models
//! are trained, exported or quantized, nor cameras, pins and outputs.
//!
//! # Example: the mask of an image
//!
//! ```
//! use unet_data::decode_image;
//! use unet_engine::picture::overlay_png;
//! use unet_engine::predictor::Predictor;
//!
//! # let folder = tempfile::tempdir()?;
//! # let (package, photo) = (folder.path().join("model.unet"), folder.path().join("photo.png"));
//! # let (manifest, members) = unet_test_support::tiny_package::parts();
//! # unet_engine::package::write(&package, manifest, members)?;
//! # image::GrayImage::from_fn(32, 8, |x, _| image::Luma([if x < 16 { 200 } else { 10 }])).save(&photo)?;
//! let mut predictor = Predictor::load(&package)?; // re-runs the package's golden vectors
//! let image = decode_image(&photo, &predictor.spec().samples)?;
//! let mask = predictor.predict(&image.view())?; // a class id for each pixel of the image, row by row
//! assert_eq!(mask.len(), image.width * image.height);
//! let overlay = overlay_png(&image.view(), mask, &[[0, 0, 0], [255, 0, 0]])?;
//! std::fs::write(folder.path().join("overlay.png"), overlay)?;
//! # assert_eq!((mask[0], mask[31]), (1, 0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod atomic_file;
pub mod error;
pub mod evaluate;
pub mod exit;
pub mod field_of_view;
pub mod folder_lock;
pub mod inference;
pub mod machine;
pub mod package;
pub mod picture;
pub mod pixel_values;
pub mod predictor;
pub mod segmenter;
mod shape;
