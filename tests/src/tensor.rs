//! The tensor of the references: a shape and its elements in row-major order, in the five types of our graphs.
//!
//! Knows the ONNX encoding of a tensor, and no arithmetic.

use crate::interpreter::Fault;
use tract_onnx::pb::{TensorProto, tensor_proto::DataType};

/// Elements in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// `FLOAT`.
    F32(Vec<f32>),
    /// `UINT8`.
    U8(Vec<u8>),
    /// `INT8`.
    I8(Vec<i8>),
    /// `INT32`.
    I32(Vec<i32>),
    /// `INT64`.
    I64(Vec<i64>),
}

impl Data {
    /// The number of elements.
    pub fn len(&self) -> usize {
        match self {
            Data::F32(v) => v.len(),
            Data::U8(v) => v.len(),
            Data::I8(v) => v.len(),
            Data::I32(v) => v.len(),
            Data::I64(v) => v.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The ONNX code of the element type.
    pub fn data_type(&self) -> DataType {
        match self {
            Data::F32(_) => DataType::Float,
            Data::U8(_) => DataType::Uint8,
            Data::I8(_) => DataType::Int8,
            Data::I32(_) => DataType::Int32,
            Data::I64(_) => DataType::Int64,
        }
    }

    /// The elements at `indices`, in that order, in the same type. The indices must be in range.
    pub(crate) fn gather(&self, indices: &[usize]) -> Data {
        match self {
            Data::F32(v) => Data::F32(indices.iter().map(|&i| v[i]).collect()),
            Data::U8(v) => Data::U8(indices.iter().map(|&i| v[i]).collect()),
            Data::I8(v) => Data::I8(indices.iter().map(|&i| v[i]).collect()),
            Data::I32(v) => Data::I32(indices.iter().map(|&i| v[i]).collect()),
            Data::I64(v) => Data::I64(indices.iter().map(|&i| v[i]).collect()),
        }
    }
}

/// A tensor; a scalar has an empty shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Data,
}

impl Tensor {
    /// A tensor of `shape`.
    ///
    /// # Errors
    /// If the shape does not match the number of elements in `data`.
    pub fn new(shape: &[usize], data: Data) -> Result<Tensor, Fault> {
        let expected = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        if expected != Some(data.len()) {
            return Err(Fault::new(format!("expected as many elements as shape {shape:?} has, found {}", data.len())));
        }
        Ok(Tensor { shape: shape.to_vec(), data })
    }

    /// Decodes `proto`, with raw or typed data.
    ///
    /// # Errors
    /// For another element type, data in an external file, or data that does not fill the shape.
    pub fn from_proto(proto: &TensorProto) -> Result<Tensor, Fault> {
        let fault = |what: String| Fault::new(format!("initializer {}: {what}", proto.name));
        let shape = proto.dims.iter().map(|&d| usize::try_from(d)).collect::<Result<Vec<_>, _>>();
        let shape = shape.map_err(|_| fault(format!("dimensions {:?}", proto.dims)))?;
        let raw = &proto.raw_data;
        let whole = |bytes: usize| match raw.len() % bytes {
            0 => Ok(()),
            _ => Err(fault(format!("expected a multiple of {bytes} raw bytes, found {}", raw.len()))),
        };
        let data = match (DataType::try_from(proto.data_type), raw.is_empty()) {
            (Ok(DataType::Float), true) => Data::F32(proto.float_data.clone()),
            (Ok(DataType::Uint8), true) => Data::U8(proto.int32_data.iter().map(|&v| v as u8).collect()),
            (Ok(DataType::Int8), true) => Data::I8(proto.int32_data.iter().map(|&v| v as i8).collect()),
            (Ok(DataType::Int32), true) => Data::I32(proto.int32_data.clone()),
            (Ok(DataType::Int64), true) => Data::I64(proto.int64_data.clone()),
            (Ok(DataType::Uint8), false) => Data::U8(raw.clone()),
            (Ok(DataType::Int8), false) => Data::I8(raw.iter().map(|&v| v as i8).collect()),
            (Ok(DataType::Float), false) => {
                whole(4)?;
                Data::F32(raw.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
            }
            (Ok(DataType::Int32), false) => {
                whole(4)?;
                Data::I32(raw.chunks_exact(4).map(|b| i32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
            }
            (Ok(DataType::Int64), false) => {
                whole(8)?;
                let word = |b: &[u8]| i64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]);
                Data::I64(raw.chunks_exact(8).map(word).collect())
            }
            (other, _) => return Err(fault(format!("unsupported element type {other:?}"))),
        };
        Tensor::new(&shape, data).map_err(|e| fault(e.to_string()))
    }

    /// This tensor as an ONNX initializer, with raw data.
    pub fn to_proto(&self, name: &str) -> TensorProto {
        let raw_data = match &self.data {
            Data::F32(v) => v.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Data::U8(v) => v.clone(),
            Data::I8(v) => v.iter().map(|&v| v as u8).collect(),
            Data::I32(v) => v.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Data::I64(v) => v.iter().flat_map(|v| v.to_le_bytes()).collect(),
        };
        TensorProto {
            name: name.to_owned(),
            dims: self.shape.iter().map(|&d| d as i64).collect(),
            data_type: self.data.data_type() as i32,
            raw_data,
            ..TensorProto::default()
        }
    }

    /// The dimensions, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// Whether the elements are 8-bit integers.
    pub fn is_quantized(&self) -> bool {
        matches!(self.data, Data::U8(_) | Data::I8(_))
    }

    /// The elements as f32.
    ///
    /// # Errors
    /// For another element type.
    pub fn as_f32(&self) -> Result<&[f32], Fault> {
        match &self.data {
            Data::F32(v) => Ok(v),
            other => Err(Fault::new(format!("expected f32 elements, found {:?}", other.data_type()))),
        }
    }

    /// The elements as i64.
    ///
    /// # Errors
    /// For another element type.
    pub fn as_i64(&self) -> Result<&[i64], Fault> {
        match &self.data {
            Data::I64(v) => Ok(v),
            other => Err(Fault::new(format!("expected i64 elements, found {:?}", other.data_type()))),
        }
    }

    /// Integer elements of at most 32 bits, widened.
    ///
    /// # Errors
    /// For f32 and i64 elements.
    pub fn to_i32(&self) -> Result<Vec<i32>, Fault> {
        match &self.data {
            Data::U8(v) => Ok(v.iter().map(|&v| i32::from(v)).collect()),
            Data::I8(v) => Ok(v.iter().map(|&v| i32::from(v)).collect()),
            Data::I32(v) => Ok(v.clone()),
            other => Err(Fault::new(format!("expected integers of 8 or 32 bits, found {:?}", other.data_type()))),
        }
    }

    /// The four dimensions N, C, H, W.
    ///
    /// # Errors
    /// For another rank.
    pub fn nchw(&self) -> Result<[usize; 4], Fault> {
        self.shape.as_slice().try_into().map_err(|_| Fault::new(format!("expected N, C, H, W, found {:?}", self.shape)))
    }
}

/// The differences between two tensors of 8-bit integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The number of values.
    pub values: usize,
    /// The number of values that differ.
    pub differing: usize,
    /// The largest difference, in quantization steps.
    pub step_max: u32,
}

impl Difference {
    /// Compares `left` and `right` value by value.
    ///
    /// # Errors
    /// If shapes or element types differ, or the elements are not 8-bit integers.
    pub fn between(left: &Tensor, right: &Tensor) -> Result<Difference, Fault> {
        if left.shape != right.shape || left.data.data_type() != right.data.data_type() || !left.is_quantized() {
            return Err(Fault::new(format!(
                "cannot compare {:?} {:?} with {:?} {:?} in steps",
                left.data.data_type(),
                left.shape,
                right.data.data_type(),
                right.shape
            )));
        }
        let (left, right) = (left.to_i32()?, right.to_i32()?);
        let steps = || left.iter().zip(&right).map(|(l, r)| l.abs_diff(*r));
        Ok(Difference {
            values: left.len(),
            differing: steps().filter(|&s| s != 0).count(),
            step_max: steps().max().unwrap_or(0),
        })
    }

    /// The share of values that differ, 0..=1.
    pub fn share(&self) -> f64 {
        if self.values == 0 { 0.0 } else { self.differing as f64 / self.values as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_onnx_encoding_round_trips() {
        for data in [
            Data::F32(vec![0.5, -1.0]),
            Data::U8(vec![0, 255]),
            Data::I8(vec![-128, 127]),
            Data::I32(vec![i32::MIN, 7]),
            Data::I64(vec![i64::MAX, -1]),
        ] {
            let tensor = Tensor::new(&[1, 2], data).unwrap();
            assert_eq!(Tensor::from_proto(&tensor.to_proto("t")).unwrap(), tensor);
        }
    }

    #[test]
    fn typed_data_is_read_like_raw_data() {
        let proto = TensorProto {
            dims: vec![2],
            data_type: DataType::Int8 as i32,
            int32_data: vec![-3, 4],
            ..TensorProto::default()
        };
        assert_eq!(Tensor::from_proto(&proto).unwrap().data(), &Data::I8(vec![-3, 4]));
    }

    #[test]
    fn data_that_does_not_match_its_shape_is_refused() {
        let said = |shape: &[usize], data| Tensor::new(shape, data).unwrap_err().to_string();
        let expected = "expected as many elements as shape [2, 2] has, found 3";
        assert_eq!(said(&[2, 2], Data::U8(vec![1, 2, 3])), expected);
        assert!(said(&[usize::MAX, 2], Data::U8(vec![])).ends_with("has, found 0"));
        let proto = TensorProto {
            name: "w".into(),
            dims: vec![1],
            data_type: DataType::Float as i32,
            raw_data: vec![0; 5],
            ..TensorProto::default()
        };
        let said = Tensor::from_proto(&proto).unwrap_err().to_string();
        assert_eq!(said, "initializer w: expected a multiple of 4 raw bytes, found 5");
    }

    #[test]
    fn differences_are_counted_in_steps() {
        let left = Tensor::new(&[4], Data::U8(vec![0, 10, 255, 7])).unwrap();
        let right = Tensor::new(&[4], Data::U8(vec![0, 11, 0, 7])).unwrap();
        let difference = Difference::between(&left, &right).unwrap();
        assert_eq!(difference, Difference { values: 4, differing: 2, step_max: 255 });
        assert_eq!(difference.share(), 0.5);
        let signed = Tensor::new(&[4], Data::I8(vec![0, 11, 0, 7])).unwrap();
        let error = Difference::between(&left, &signed).unwrap_err().to_string();
        assert!(error.starts_with("cannot compare"), "{error}");
    }
}
