//! Flex tensors stored channels last: `[N, C, H, W]` by shape, `[N, H, W, C]` in memory, expressed by strides alone.
//!
//! To burn's own operators such a tensor is a view like any other.

use burn::tensor::{Bytes, DType, Shape};
use burn_flex::{FlexTensor, Layout};

use unet_kernels::convolution::Size;

/// An image tensor stored channels last; copied from another order if needed.
pub(super) struct ChannelsLast {
    tensor: FlexTensor,
    /// Number and size of images.
    pub size: Size,
    /// Channels.
    pub channels: usize,
}

impl ChannelsLast {
    /// The tensor itself, or a copy stored channels last.
    pub fn new(tensor: &FlexTensor) -> Self {
        Self::owning(tensor.clone())
    }

    /// The same, consuming the tensor, so that it may be changed in place.
    pub fn owning(tensor: FlexTensor) -> Self {
        let [images, channels, height, width] = tensor.layout().shape().dims();
        let size = Size { images, height, width };
        let dense = [height * width * channels, 1, width * channels, channels];
        let dims = [images, channels, height, width];
        let strides = tensor.layout().strides();
        // The stride of a dimension of size 1 is irrelevant.
        let in_order = (0..4).all(|d| dims[d] <= 1 || strides[d] == dense[d] as isize);
        let tensor = if in_order { tensor } else { tensor.permute(&[0, 2, 3, 1]).to_contiguous() };
        Self { tensor, size, channels }
    }

    /// The values, `[N, H, W, C]`.
    pub fn values(&self) -> &[f32] {
        values(&self.tensor, self.size.pixels() * self.channels)
    }

    /// Changes the values in place, or in a copy if they are shared.
    pub fn change(mut self, change: impl FnOnce(&mut [f32])) -> FlexTensor {
        let (start, length) = (self.tensor.layout().start_offset(), self.size.pixels() * self.channels);
        if let Some(values) = self.tensor.try_storage_mut::<f32>() {
            change(&mut values[start..start + length]);
            return self.tensor.with_layout(layout(self.size, self.channels, start));
        }
        let mut values = self.values().to_vec();
        change(&mut values);
        image_tensor(values, self.size, self.channels)
    }
}

/// The values of a contiguous tensor.
fn values(tensor: &FlexTensor, length: usize) -> &[f32] {
    let start = tensor.layout().start_offset();
    &tensor.storage::<f32>()[start..start + length]
}

/// A contiguous tensor of parameters.
pub(super) struct Dense(FlexTensor);

impl Dense {
    /// The tensor itself, or a contiguous copy.
    pub fn new(tensor: &FlexTensor) -> Self {
        Self(if tensor.is_contiguous() { tensor.clone() } else { tensor.to_contiguous() })
    }

    /// The values in order.
    pub fn values(&self) -> &[f32] {
        values(&self.0, self.0.layout().num_elements())
    }

    /// The tensor itself, or a copy whose storage holds its values and nothing else.
    pub fn from_start(tensor: FlexTensor) -> FlexTensor {
        let length = tensor.layout().num_elements();
        let whole = tensor.is_contiguous() && tensor.layout().start_offset() == 0;
        if whole && tensor.storage::<f32>().len() == length {
            return tensor;
        }
        let dims: Vec<usize> = tensor.layout().shape().iter().copied().collect();
        dense_tensor(Self::new(&tensor).values().to_vec(), &dims)
    }

    /// The shape of four dimensions.
    pub fn dims(&self) -> [usize; 4] {
        self.0.layout().shape().dims()
    }
}

/// Channels last, from value `start` on.
fn layout(size: Size, channels: usize, start: usize) -> Layout {
    let Size { images, height, width } = size;
    let strides = vec![(height * width * channels) as isize, 1, (width * channels) as isize, channels as isize];
    Layout::new(Shape::from(vec![images, channels, height, width]), strides, start)
}

/// A tensor of an image stack from values `[N, H, W, C]`.
pub(super) fn image_tensor(values: Vec<f32>, size: Size, channels: usize) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(values), layout(size, channels, 0), DType::F32)
}

/// A tensor from values in order.
pub(super) fn dense_tensor(values: Vec<f32>, shape: &[usize]) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(Shape::from(shape.to_vec())), DType::F32)
}
