//! Masks and overlays as PNG files, in folders that keep the newest ones.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use unet_shared::label::LabelTable;
use unet_shared::mask::mask_to_image;
use unet_shared::preprocess::Preprocess;

use super::{Context, OpenError, PaintError, SinkSpec, folder};
use crate::outputs::{BoundedFolder, FolderBounds, file_stem};
use crate::pipeline::{Needs, Outcome, Sink, WriteError};
use crate::section::Section;
use crate::telemetry::log::Log;
use unet_engine::error::chain;
use unet_engine::picture;

const FILES_MAX: u64 = 1_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Mask,
    Overlay,
}

/// `[outputs.masks]` and `[outputs.overlays]`
#[derive(Debug)]
struct ImagesSpec {
    content: Content,
    /// `folder`; created if necessary.
    folder: PathBuf,
    /// `files_max` and `bytes_max`: the oldest files are removed. Default 1000 files and 256 MiB.
    bounds: FolderBounds,
    /// `every`: one of so many frames is stored. Default 1.
    every: u64,
}

pub(super) fn read_masks(section: &mut Section<'_, '_>) -> Option<Arc<dyn SinkSpec>> {
    read(section.section("masks")?, Content::Mask)
}

pub(super) fn read_overlays(section: &mut Section<'_, '_>) -> Option<Arc<dyn SinkSpec>> {
    read(section.section("overlays")?, Content::Overlay)
}

fn read(mut section: Section<'_, '_>, content: Content) -> Option<Arc<dyn SinkSpec>> {
    let folder = folder(&mut section);
    let files_max = section.integer("files_max", 1..=FILES_MAX, "1 to 1000000 files").unwrap_or(1000) as usize;
    let bytes_max = section.bytes("bytes_max").unwrap_or(256 << 20);
    let every = section.integer("every", 1..=u64::MAX, "1 or more frames").unwrap_or(1);
    section.finish();
    Some(Arc::new(ImagesSpec { content, folder: folder?, bounds: FolderBounds { files_max, bytes_max }, every }))
}

/// Masks and overlays of every frame below a folder, with bounds that no short run reaches.
pub(super) fn below(output: &Path) -> [Arc<dyn SinkSpec>; 2] {
    [Content::Mask, Content::Overlay].map(|content| {
        let bounds = FolderBounds { files_max: 100_000, bytes_max: 8 << 30 };
        Arc::new(ImagesSpec { content, folder: output.join(name(content)), bounds, every: 1 }) as Arc<dyn SinkSpec>
    })
}

fn name(content: Content) -> &'static str {
    match content {
        Content::Mask => "masks",
        Content::Overlay => "overlays",
    }
}

impl SinkSpec for ImagesSpec {
    fn name(&self) -> &'static str {
        name(self.content)
    }

    fn folder(&self) -> Option<(&Path, u64)> {
        Some((&self.folder, self.bounds.bytes_max))
    }

    fn needs(&self) -> Needs {
        Needs { pixels: self.content == Content::Overlay, ..Needs::default() }
    }

    fn open(&self, context: &Context) -> Result<Box<dyn Sink>, OpenError> {
        let manifest = &context.manifest;
        let painter = match self.content {
            Content::Mask => {
                let labels = manifest.label_table();
                let refused =
                    |error: &dyn std::error::Error| OpenError::Package { output: "masks", problem: chain(error) };
                Painter::Mask(Box::new(labels.map_err(|error| refused(&error))?))
            }
            Content::Overlay => Painter::Overlay(manifest.classes.iter().map(|class| class.color).collect()),
        };
        let folder = context.places.open(&self.folder).and_then(|place| BoundedFolder::open(place, self.bounds));
        let folder = folder.map_err(OpenError::folder(&self.folder))?;
        Ok(Box::new(ImageSink {
            name: self.name(),
            painter,
            spec: manifest.preprocess,
            folder,
            every: self.every.max(1),
            seen: 0,
            at_size: Vec::new(),
        }))
    }
}

#[derive(Debug)]
enum Painter {
    /// The mask in label values, at the frame's size.
    Mask(Box<LabelTable>),
    /// The frame with the mask on top, in these colours.
    Overlay(Vec<[u8; 3]>),
}

/// Writes the images.
#[derive(Debug)]
struct ImageSink {
    name: &'static str,
    painter: Painter,
    spec: Preprocess,
    folder: BoundedFolder,
    every: u64,
    seen: u64,
    at_size: Vec<u8>,
}

impl ImageSink {
    fn paint(&mut self, outcome: &Outcome) -> Result<Vec<u8>, PaintError> {
        let (width, height) = (outcome.size.0 as usize, outcome.size.1 as usize);
        self.at_size.resize(width * height, 0);
        let spec = Preprocess { width: outcome.mask_size.0, height: outcome.mask_size.1, ..self.spec };
        mask_to_image(&outcome.mask, &spec, outcome.placement, width, height, &mut self.at_size)
            .map_err(PaintError::Mask)?;
        Ok(match &self.painter {
            Painter::Mask(labels) => picture::label_png(&self.at_size, width, height, labels)?,
            Painter::Overlay(colors) => {
                picture::overlay_png(&outcome.view().map_err(PaintError::Pixels)?, &self.at_size, colors)?
            }
        })
    }
}

impl Sink for ImageSink {
    fn name(&self) -> &'static str {
        self.name
    }

    fn write(&mut self, outcome: &Outcome, _: Log) -> Result<(), WriteError> {
        let is_due = self.seen.is_multiple_of(self.every);
        self.seen += 1;
        if is_due {
            let png = self.paint(outcome)?;
            let name = file_stem(outcome.since_1970, outcome.frame.sequence) + ".png";
            self.folder.store(&name, &png)?;
        }
        Ok(())
    }
}
