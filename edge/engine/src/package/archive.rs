//! The tar archive of a package in its only accepted form: ustar headers of regular files without owner, time or extension, zero
//! padding to 512 bytes, two zero blocks at the end. Anything else is refused, so that equal content has equal bytes and no reader
//! has to support links, sparse files or long names.

use std::ops::Range;

use super::PackageFault;

const BLOCK: usize = 512;
/// What the header of a ustar member has at [`MAGIC_OFFSET`].
pub(super) const MAGIC: &[u8] = b"ustar";
/// Where that is.
pub(super) const MAGIC_OFFSET: usize = 257;
/// Size of a ustar name field without a prefix.
const NAME_BYTES_MAX: usize = 100;

/// Appends one member.
///
/// # Errors
///
/// If the name is not valid for [`entries`].
pub(super) fn push(bytes: &mut Vec<u8>, name: &str, data: &[u8]) -> Result<(), PackageFault> {
    let header = header(name, data.len() as u64).ok_or_else(|| bad_name(bytes.len(), name))?;
    bytes.extend_from_slice(&header);
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    Ok(())
}

/// Appends the end of the archive.
pub(super) fn finish(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len() + 2 * BLOCK, 0);
}

/// The members in the order of the archive, with the range of their content in `bytes`.
///
/// # Errors
///
/// The first byte range that differs from what [`push`] and [`finish`] write.
pub(super) fn entries(bytes: &[u8]) -> Result<Vec<(String, Range<usize>)>, PackageFault> {
    let fault = |offset: usize, expected: &str, found: String| PackageFault::Archive {
        offset,
        expected: expected.to_owned(),
        found,
    };
    let mut members = Vec::new();
    let mut offset = 0;
    loop {
        let rest = &bytes[offset..];
        let Some((block, _)) = rest.split_first_chunk::<BLOCK>() else {
            return Err(fault(offset, "a header of 512 bytes", format!("{} bytes", rest.len())));
        };
        if block.iter().all(|&byte| byte == 0) {
            if rest.len() != 2 * BLOCK || rest.iter().any(|&byte| byte != 0) {
                return Err(fault(offset, "1024 zero bytes at the end", format!("{} bytes, not all zero", rest.len())));
            }
            return Ok(members);
        }
        let found = tar::Header::from_byte_slice(block);
        let name = std::str::from_utf8(&found.path_bytes())
            .map_err(|_| fault(offset, "a member name in UTF-8", "other bytes".to_owned()))?
            .to_owned();
        let size = found.size().map_err(|error| fault(offset, "the size of a member", error.to_string()))?;
        let expected = header(&name, size).ok_or_else(|| bad_name(offset, &name))?;
        if expected != *block {
            let first = (0..BLOCK).find(|&index| expected[index] != block[index]).unwrap_or_default();
            let text = format!("{:#04x}", expected[first]);
            return Err(fault(
                offset + first,
                &format!("{text} in the header of {name}"),
                format!("{:#04x}", block[first]),
            ));
        }
        let start = offset + BLOCK;
        let there = bytes.len() - start;
        let size = usize::try_from(size).ok().filter(|&size| size <= there).ok_or_else(|| {
            fault(start, &format!("{size} bytes of member {name}"), format!("{there} bytes to the end"))
        })?;
        // No overflow: `size` is at most the length of a slice, which leaves room for 511 more.
        let padded = size.next_multiple_of(BLOCK);
        if padded > there {
            return Err(fault(start + size, &format!("zeros after member {name}"), "the end".to_owned()));
        }
        if let Some(index) = (start + size..start + padded).find(|&index| bytes[index] != 0) {
            let expected = format!("zeros after member {name}");
            return Err(fault(index, &expected, format!("{:#04x}", bytes[index])));
        }
        members.push((name, start..start + size));
        offset = start + padded;
    }
}

fn header(name: &str, size: u64) -> Option<[u8; BLOCK]> {
    if !is_plain_name(name) {
        return None;
    }
    let mut header = tar::Header::new_ustar();
    header.set_path(name).ok()?;
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    Some(*header.as_bytes())
}

/// Portable names that stay below their directory: relative, of letters, digits, `.`, `_`, `-`.
fn is_plain_name(name: &str) -> bool {
    let plain = |part: &str| {
        !matches!(part, "" | "." | "..")
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
    };
    name.len() <= NAME_BYTES_MAX && name.split('/').all(plain)
}

fn bad_name(offset: usize, name: &str) -> PackageFault {
    let expected = format!("a relative member name of at most {NAME_BYTES_MAX} letters, digits, '.', '_', '-' and '/'");
    PackageFault::Archive { offset, expected, found: format!("{name:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, data) in members {
            push(&mut bytes, name, data).unwrap();
        }
        finish(&mut bytes);
        bytes
    }

    #[test]
    fn members_come_back_in_order() {
        let bytes = archive(&[("b", b"1234"), ("a/x.bin", &[7; 512]), ("empty", b"")]);
        assert_eq!(bytes.len(), 512 + 512 + 512 + 512 + 512 + 1024);
        let found = entries(&bytes).unwrap();
        let found: Vec<_> = found.iter().map(|(name, range)| (name.as_str(), &bytes[range.clone()])).collect();
        assert_eq!(found, [("b", &b"1234"[..]), ("a/x.bin", &[7; 512][..]), ("empty", &b""[..])]);
    }

    #[test]
    fn the_tar_library_reads_what_is_written() {
        let bytes = archive(&[("manifest.json", b"{}"), ("golden/0.input", &[1, 2, 3])]);
        let mut reader = tar::Archive::new(bytes.as_slice());
        let names: Vec<_> =
            reader.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect();
        assert_eq!(names, ["manifest.json", "golden/0.input"]);
    }

    #[test]
    fn an_absurd_size_is_refused_without_allocating() {
        for size in [u64::MAX, 1 << 62, 1025] {
            let mut bytes = header("a", size).unwrap().to_vec();
            finish(&mut bytes);
            let error = entries(&bytes).unwrap_err().to_string();
            assert!(error.contains("bytes of member a") || error.contains("header"), "{error}");
        }
    }

    #[test]
    fn links_and_foreign_headers_are_refused() {
        let mut link = tar::Header::new_gnu();
        link.set_entry_type(tar::EntryType::Symlink);
        link.set_path("a").unwrap();
        link.set_size(0);
        link.set_cksum();
        let mut bytes = link.as_bytes().to_vec();
        finish(&mut bytes);
        let error = entries(&bytes).unwrap_err().to_string();
        assert!(error.contains("in the header of a: ") || error.contains("in the header of a,"), "{error}");
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in ["", "/a", "a/", "../a", "a/./b", "a b", "a\\b", &"n".repeat(101)] {
            let fault = push(&mut Vec::new(), name, b"").unwrap_err();
            assert!(matches!(fault, PackageFault::Archive { .. }), "{name:?}: {fault}");
        }
    }

    #[test]
    fn a_missing_end_or_more_behind_it_is_refused() {
        let bytes = archive(&[("a", b"1")]);
        for length in 0..bytes.len() {
            let fault = entries(&bytes[..length]).unwrap_err();
            assert!(matches!(fault, PackageFault::Archive { .. }), "{length}: {fault}");
        }
        let longer = [bytes.as_slice(), &[0; 512]].concat();
        let fault = entries(&longer).unwrap_err();
        assert!(matches!(fault, PackageFault::Archive { .. }), "{fault}");
    }
}
