//! From loaded samples to the tensors of a step.

use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use unet_shared::preprocess::Preprocess;

use crate::dataset::loader::Item;

/// Turns items into batches, by the preprocessing's tables from u8 to f32, one per channel.
#[derive(Clone, Debug)]
pub struct Batcher {
    preprocess: Preprocess,
    tables: Vec<[f32; 256]>,
}

/// A batch of images with their masks.
#[derive(Debug)]
pub struct Batch {
    /// `[N, C, H, W]`, normalized.
    pub images: Tensor<4>,
    /// `[N, H, W]` class ids.
    pub masks: Vec<u8>,
}

impl Batcher {
    /// A batcher for images with this preprocessing.
    pub fn new(preprocess: Preprocess) -> Self {
        let tables = (0..preprocess.channels.count()).map(|c| preprocess.float_table(c)).collect();
        Self { preprocess, tables }
    }

    /// Appends the f32 values of one image's planes to `out`.
    pub fn normalize(&self, planes: &[u8], out: &mut Vec<f32>) {
        let pixels = self.preprocess.width as usize * self.preprocess.height as usize;
        for (plane, table) in planes.chunks_exact(pixels).zip(&self.tables) {
            out.extend(plane.iter().map(|&value| table[usize::from(value)]));
        }
    }

    /// Assembles a batch.
    pub fn batch(&self, items: &[Arc<Item>], device: &Device) -> Batch {
        let (width, height) = (self.preprocess.width as usize, self.preprocess.height as usize);
        let mut values = Vec::with_capacity(items.len() * self.preprocess.input_len());
        let mut masks = Vec::with_capacity(items.len() * width * height);
        for item in items {
            self.normalize(&item.planes, &mut values);
            masks.extend_from_slice(&item.mask);
        }
        let data = TensorData::new(values, [items.len(), self.tables.len(), height, width]);
        Batch { images: Tensor::from_data(data, device), masks }
    }
}
