//! From loaded samples to the tensors of a step.

use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use unet_shared::preprocess::Preprocess;

use crate::dataset::augment::Drawn;
use crate::dataset::loader::Item;

/// Turns items into batches: the preprocessing's tables from u8 to f32, one a channel, are made once.
#[derive(Clone, Debug)]
pub struct Batcher {
    preprocess: Preprocess,
    tables: Vec<[f32; 256]>,
}

/// A batch of images with their masks.
#[derive(Debug)]
pub struct Batch {
    /// `[N, C, H, W]`, normalised.
    pub images: Tensor<4>,
    /// `[N, H, W]` class ids.
    pub masks: Vec<u8>,
}

impl Batcher {
    /// A batcher for images that were preprocessed this way.
    pub fn new(preprocess: Preprocess) -> Self {
        let tables = (0..preprocess.channels.count()).map(|c| preprocess.float_table(c)).collect();
        Self { preprocess, tables }
    }

    /// The f32 values of one image's planes, flipped as drawn, appended to `out`.
    pub fn normalize(&self, planes: &[u8], drawn: Drawn, out: &mut Vec<f32>) {
        let (width, height) = (self.preprocess.width as usize, self.preprocess.height as usize);
        for (plane, table) in planes.chunks_exact(width * height).zip(&self.tables) {
            drawn.copy(plane, width, out, |v| table[usize::from(v)]);
        }
    }

    /// Assembles a batch, each item flipped as drawn for it.
    pub fn batch(&self, items: &[(Arc<Item>, Drawn)], device: &Device) -> Batch {
        let (width, height) = (self.preprocess.width as usize, self.preprocess.height as usize);
        let mut values = Vec::with_capacity(items.len() * self.preprocess.input_len());
        let mut masks = Vec::with_capacity(items.len() * width * height);
        for (item, drawn) in items {
            self.normalize(&item.planes, *drawn, &mut values);
            drawn.copy(&item.mask, width, &mut masks, |class| class);
        }
        let data = TensorData::new(values, [items.len(), self.tables.len(), height, width]);
        Batch { images: Tensor::from_data(data, device), masks }
    }
}
