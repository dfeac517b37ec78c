//! `.npy` files, exchanged with Python: version 1.0, little-endian, C order, as documented by NumPy.

use crate::interpreter::Fault;
use crate::tensor::{Data, Tensor};
use std::path::Path;

const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";

/// `tensor` as the bytes of an `.npy` file.
pub fn encode(tensor: &Tensor) -> Vec<u8> {
    let kind = match tensor.data() {
        Data::F32(_) => "<f4",
        Data::U8(_) => "|u1",
        Data::I8(_) => "|i1",
        Data::I32(_) => "<i4",
        Data::I64(_) => "<i8",
    };
    // A tuple of one needs its comma, and a trailing comma is allowed.
    let shape: String = tensor.shape().iter().map(|d| format!("{d},")).collect();
    let mut header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({shape}), }}");
    // Elements start at a multiple of 64, and the header ends with a line feed.
    let padding = 63 - (MAGIC.len() + 2 + header.len()) % 64;
    header.extend(std::iter::repeat_n(' ', padding));
    header.push('\n');
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&(header.len() as u16).to_le_bytes());
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend(tensor.to_proto("").raw_data);
    bytes
}

/// Reads files of [`encode`] and of NumPy's `save`.
///
/// # Errors
/// For another version, order or element type, and for a file that is cut off.
pub fn decode(bytes: &[u8]) -> Result<Tensor, Fault> {
    let fault = |what: &str| Fault::new(format!("npy: {what}"));
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| fault("expected an .npy file of version 1.0"))?;
    let (length, rest) =
        rest.split_first_chunk::<2>().ok_or_else(|| fault("expected a header, found the end of the file"))?;
    let (header, body) = rest
        .split_at_checked(usize::from(u16::from_le_bytes(*length)))
        .ok_or_else(|| fault("expected a header, found the end of the file"))?;
    let header = std::str::from_utf8(header).map_err(|_| fault("expected a header of text"))?;
    if !header.contains("'fortran_order': False") {
        return Err(fault("expected C order, found Fortran order"));
    }
    let between =
        |start: &str, end: char| header.split_once(start).and_then(|(_, t)| t.split_once(end)).map(|(t, _)| t);
    let shape = between("'shape': (", ')').ok_or_else(|| fault("expected a shape, found none"))?;
    let sizes = shape.split(',').map(str::trim).filter(|d| !d.is_empty()).map(str::parse);
    let shape: Vec<usize> = sizes.collect::<Result<_, _>>().map_err(|_| fault("expected numbers in the shape"))?;
    let code = match between("'descr': '", '\'') {
        Some("<f4") => Data::F32(vec![]),
        Some("|u1") => Data::U8(vec![]),
        Some("|i1") => Data::I8(vec![]),
        Some("<i4") => Data::I32(vec![]),
        Some("<i8") => Data::I64(vec![]),
        other => return Err(fault(&format!("unsupported element type {}", other.unwrap_or("none")))),
    };
    let mut proto = Tensor::new(&[0], code)?.to_proto("npy");
    proto.dims = shape.iter().map(|&d| d as i64).collect();
    proto.raw_data = body.to_vec();
    Tensor::from_proto(&proto)
}

/// Reads a file.
///
/// # Errors
/// As for [`decode`], and if the file cannot be read; the message names the file.
pub fn read(path: &Path) -> Result<Tensor, Fault> {
    let bytes = std::fs::read(path).map_err(|e| Fault::new(format!("{}: {e}", path.display())))?;
    decode(&bytes).map_err(|e| Fault::new(format!("{}: {e}", path.display())))
}

/// Writes a file.
///
/// # Errors
/// If the file cannot be written; the message names the file.
pub fn write(path: &Path, tensor: &Tensor) -> Result<(), Fault> {
    std::fs::write(path, encode(tensor)).map_err(|e| Fault::new(format!("{}: {e}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_back() {
        for (shape, data) in [
            (vec![2, 3], Data::U8(vec![0, 1, 2, 3, 4, 255])),
            (vec![2], Data::F32(vec![-0.5, 1e30])),
            (vec![], Data::I64(vec![-1])),
            (vec![1, 2], Data::I8(vec![-128, 127])),
            (vec![1], Data::I32(vec![i32::MIN])),
        ] {
            let tensor = Tensor::new(&shape, data).unwrap();
            let bytes = encode(&tensor);
            assert_eq!(bytes.iter().position(|&b| b == b'\n').unwrap() % 64, 63, "elements are not aligned");
            assert_eq!(decode(&bytes).unwrap(), tensor);
        }
    }

    #[test]
    fn a_header_as_numpy_writes_it_is_read() {
        let mut bytes = MAGIC.to_vec();
        let header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (2, 1), }     \n";
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header);
        bytes.extend([7, 8]);
        assert_eq!(decode(&bytes).unwrap(), Tensor::new(&[2, 1], Data::U8(vec![7, 8])).unwrap());
    }

    #[test]
    fn a_file_that_is_cut_off_is_refused_at_every_length() {
        const EXPECTED: [&str; 4] = [
            "npy: expected an .npy file",
            "npy: expected a header",
            "expected a multiple of 4 raw bytes",
            "expected as many elements as shape [2, 2] has",
        ];
        let bytes = encode(&Tensor::new(&[2, 2], Data::I32(vec![1, 2, 3, 4])).unwrap());
        for length in 0..bytes.len() {
            let error = decode(&bytes[..length]).unwrap_err().to_string();
            assert!(EXPECTED.iter().any(|part| error.contains(part)), "{length} of {} bytes: {error}", bytes.len());
        }
    }
}
