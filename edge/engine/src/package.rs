//! The package: the one file that ships to a board. A plain tar archive (manifest first, then the members that it lists)
//! followed by the 32 bytes of the sha256 of everything before them.
//!
//! Reads, checks and writes the container. Models are run, and golden vectors checked, by [`crate::inference`].

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use unet_shared::digest::Digest;
use unet_shared::document::DocumentError;
use unet_shared::manifest::{MANIFEST_VERSION, Manifest, MemberEntry};

use crate::atomic_file;

mod archive;
mod consistency;

/// Name of the first member.
pub const MANIFEST_NAME: &str = "manifest.json";
/// Extension of a package's file name.
pub const PACKAGE_EXTENSION: &str = "unet";
/// The largest package that is read into memory, in bytes.
pub const PACKAGE_BYTES_MAX: u64 = 1 << 30;

const DIGEST_BYTES: usize = 32;

/// A package whose archive, digests, member list and shapes have all been checked.
#[derive(Debug, Clone)]
pub struct Package {
    /// The manifest.
    pub manifest: Manifest,
    /// sha256 of all bytes before the last 32: the package's identity.
    pub digest: Digest,
    bytes: Vec<u8>,
    members: BTreeMap<String, Range<usize>>,
}

/// A recorded input of the model with the packager's result.
#[derive(Debug, Clone, Copy)]
pub struct Golden<'a> {
    /// Name of the input's member.
    pub name: &'a str,
    /// Quantized model input, u8, `C*H*W`.
    pub input: &'a [u8],
    /// Class ids, `H*W`.
    pub mask: &'a [u8],
    /// sha256 of the quantized logits, u8, `K*H*W`.
    pub logits: Digest,
}

/// Why a package could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// Reading the file failed.
    #[error("failed to read package {}", path.display())]
    Read {
        /// The package.
        path: PathBuf,
        /// The error of the file system.
        #[source]
        source: io::Error,
    },
    /// The path leads to something else.
    #[error("{} {found}", path.display())]
    NotAPackage {
        /// The path.
        path: PathBuf,
        /// What it leads to, and what to do.
        found: String,
    },
    /// The bytes are not an intact package.
    #[error("package {} {}", path.display(), source.verdict())]
    Refused {
        /// The package.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: PackageFault,
    },
    /// The content to package is inconsistent; reading it would refuse it.
    #[error("package {} was not written", path.display())]
    NotWritten {
        /// The package.
        path: PathBuf,
        /// What is wrong with its content.
        #[source]
        source: PackageFault,
    },
    /// Writing the file failed.
    #[error("failed to write package {}", path.display())]
    Write {
        /// The package.
        path: PathBuf,
        /// The error of the file system.
        #[source]
        source: io::Error,
    },
}

/// What is wrong with the bytes of a package, in the order of the checks.
#[derive(Debug, thiserror::Error)]
pub enum PackageFault {
    /// Larger or smaller than any package.
    #[error("size: expected {expected} bytes, found {found}")]
    Size {
        /// The violated bound, in words.
        expected: String,
        /// Bytes found.
        found: u64,
    },
    /// Truncated, altered or extended.
    #[error("digest of the {bytes} bytes before the last 32: expected {expected}, found {found}")]
    Digest {
        /// How many bytes the digest covers.
        bytes: usize,
        /// The digest at the end of the file.
        expected: Digest,
        /// The digest of the bytes.
        found: Digest,
    },
    /// Not the archive that this program writes.
    #[error("archive at byte {offset}: expected {expected}, found {found}")]
    Archive {
        /// Where in the file.
        offset: usize,
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },
    /// Two members have the same name.
    #[error("member {name}: expected once, found twice {place}")]
    Duplicate {
        /// The member.
        name: String,
        /// In the archive or in the manifest's list.
        place: &'static str,
    },
    /// The first member is not the manifest.
    #[error("first member: expected {MANIFEST_NAME}, found {found}")]
    NoManifest {
        /// The first member, or `no member`.
        found: String,
    },
    /// Written by another version of the program.
    #[error(
        "manifest version: expected {MANIFEST_VERSION}, found {found}; package the run again with this version, or use the version that made it"
    )]
    Version {
        /// The version of the file.
        found: u32,
    },
    /// The manifest cannot be parsed.
    #[error("{MANIFEST_NAME}: expected a manifest of version {MANIFEST_VERSION}, found something else")]
    Manifest(#[source] DocumentError),
    /// A member that the manifest does not list.
    #[error("member {name}: expected none of that name, found {bytes} bytes")]
    Extra {
        /// The member.
        name: String,
        /// Its size.
        bytes: usize,
    },
    /// A member that the manifest lists is missing.
    #[error("member {name}: expected {bytes} bytes, found no such member")]
    Missing {
        /// The member.
        name: String,
        /// The size that the manifest gives.
        bytes: u64,
    },
    /// A member has another size than the manifest says.
    #[error("size of member {name}: expected {expected} bytes, found {found}")]
    MemberSize {
        /// The member.
        name: String,
        /// The size that the manifest gives.
        expected: u64,
        /// The size in the archive.
        found: u64,
    },
    /// A member has another content than the manifest says.
    #[error("sha256 of member {name}: expected {expected}, found {found}")]
    MemberDigest {
        /// The member.
        name: String,
        /// The digest that the manifest gives.
        expected: Digest,
        /// The digest of the member.
        found: Digest,
    },
    /// The parts of the package contradict each other.
    #[error("{what}: expected {expected}, found {found}")]
    Inconsistent {
        /// Which part.
        what: String,
        /// What the other parts require.
        expected: String,
        /// What it states.
        found: String,
    },
}

impl PackageFault {
    /// What the fault means for the file, and the remedy if one is known.
    fn verdict(&self) -> &'static str {
        match self {
            PackageFault::Size { .. } => "is not a package",
            PackageFault::Digest { .. } => "is damaged or incomplete; copy it again",
            _ => "was rejected",
        }
    }

    fn inconsistent(what: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> Self {
        PackageFault::Inconsistent { what: what.into(), expected: expected.into(), found: found.into() }
    }
}

impl Package {
    /// Reads and checks a package.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or is not an intact and consistent package of this version.
    pub fn read(path: &Path) -> Result<Self, PackageError> {
        let read = |source| PackageError::Read { path: path.to_owned(), source };
        let refused = |source| PackageError::Refused { path: path.to_owned(), source };
        let metadata = fs::metadata(path).map_err(read)?;
        if metadata.is_dir() {
            return Err(PackageError::NotAPackage { path: path.to_owned(), found: folder(path) });
        }
        if !metadata.is_file() {
            return Err(read(io::Error::new(io::ErrorKind::InvalidInput, "expected a file, found a device")));
        }
        if metadata.len() > PACKAGE_BYTES_MAX {
            let expected = format!("at most {PACKAGE_BYTES_MAX}");
            return Err(refused(PackageFault::Size { expected, found: metadata.len() }));
        }
        let bytes = fs::read(path).map_err(read)?;
        if !is_like_a_package(&bytes) {
            let found = match path.extension() {
                Some(extension) if extension.eq_ignore_ascii_case("onnx") => {
                    "is an ONNX file, not a package; `unet-host package RUN` makes one from a run that unet-host trained; \
                     `unet-edge inspect` and `unet-edge bench` take other ONNX files too"
                }
                _ => "is not a package",
            };
            return Err(PackageError::NotAPackage { path: path.to_owned(), found: found.to_owned() });
        }
        Package::parse(bytes).map_err(refused)
    }

    /// Checks the bytes of a package, in this order: the digest at the end, the archive, the manifest's version, the list
    /// of members, their sizes, their digests, and whether the parts are consistent.
    ///
    /// # Errors
    ///
    /// The first fault, with what was expected instead.
    pub fn parse(bytes: impl Into<Vec<u8>>) -> Result<Self, PackageFault> {
        let bytes: Vec<u8> = bytes.into();
        let digest = check_digest(&bytes)?;
        let entries = archive::entries(&bytes[..bytes.len() - DIGEST_BYTES])?;
        let (manifest_name, manifest_range) =
            entries.first().ok_or(PackageFault::NoManifest { found: "no member".to_owned() })?;
        if manifest_name != MANIFEST_NAME {
            return Err(PackageFault::NoManifest { found: manifest_name.clone() });
        }
        let manifest = read_manifest(&bytes[manifest_range.clone()])?;
        let mut members = BTreeMap::new();
        for (name, range) in entries.into_iter().skip(1) {
            if name == MANIFEST_NAME || members.insert(name.clone(), range).is_some() {
                return Err(PackageFault::Duplicate { name, place: "in the archive" });
            }
        }
        check_members(&bytes, &members, &manifest.members)?;
        let package = Package { manifest, digest, bytes, members };
        consistency::check(&package)?;
        Ok(package)
    }

    /// The content of a member other than the manifest.
    pub fn member(&self, name: &str) -> Option<&[u8]> {
        self.members.get(name).map(|range| &self.bytes[range.clone()])
    }

    /// All members except the manifest, ordered by name.
    pub fn members(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.members.iter().map(|(name, range)| (name.as_str(), &self.bytes[range.clone()]))
    }

    /// The quantized ONNX model.
    pub fn model(&self) -> &[u8] {
        self.member(&self.manifest.model.file).unwrap_or_default()
    }

    /// The golden vectors, at least one.
    pub fn golden(&self) -> impl Iterator<Item = Golden<'_>> {
        self.manifest.golden.iter().map(|entry| Golden {
            name: &entry.input,
            input: self.member(&entry.input).unwrap_or_default(),
            mask: self.member(&entry.mask).unwrap_or_default(),
            logits: entry.logits,
        })
    }

    /// Size of the whole file in bytes.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }
}

/// Whether a file begins as a package does, damaged or not: with the name of its manifest, or with the head of an archive.
fn is_like_a_package(bytes: &[u8]) -> bool {
    let name = MANIFEST_NAME.as_bytes();
    let has_magic = bytes.get(archive::MAGIC_OFFSET..).is_some_and(|rest| rest.starts_with(archive::MAGIC));
    bytes.starts_with(name) || name.starts_with(bytes) || has_magic
}

/// What a folder is that was given for a package, and what to do.
fn folder(path: &Path) -> String {
    if !path.join("config.toml").is_file() {
        return "is a folder; expected a file, such as mine.unet".to_owned();
    }
    let files = fs::read_dir(path).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let mut packages: Vec<PathBuf> =
        files.filter(|file| file.extension().is_some_and(|extension| extension == "unet")).collect();
    packages.sort();
    match packages.first() {
        Some(package) => format!("is the folder of a run; its package is {}", package.display()),
        None => format!("is the folder of a run; `unet-host package {}` makes its package", path.display()),
    }
}

/// Writes `manifest`, whose list of members is filled here, and `members` to the file `path`, and returns the package's digest.
/// Equal content gives equal bytes.
///
/// # Errors
///
/// If the content is inconsistent (see [`Package::parse`]), or the file cannot be written; an existing file is unchanged then.
pub fn write(path: &Path, manifest: Manifest, members: Vec<(String, Vec<u8>)>) -> Result<Digest, PackageError> {
    let not_written = |source| PackageError::NotWritten { path: path.to_owned(), source };
    let bytes = encode(manifest, &members).map_err(not_written)?;
    // Never write what reading would refuse.
    let package = Package::parse(bytes).map_err(not_written)?;
    atomic_file::write(path, &package.bytes).map_err(|source| PackageError::Write { path: path.to_owned(), source })?;
    Ok(package.digest)
}

fn encode(mut manifest: Manifest, members: &[(String, Vec<u8>)]) -> Result<Vec<u8>, PackageFault> {
    manifest.members = members
        .iter()
        .map(|(name, data)| MemberEntry { name: name.clone(), size: data.len() as u64, sha256: Digest::of(data) })
        .collect();
    let json = serde_json::to_vec_pretty(&manifest)
        .map_err(|error| PackageFault::Manifest(DocumentError::Format { message: error.to_string() }))?;
    let mut bytes = Vec::new();
    archive::push(&mut bytes, MANIFEST_NAME, &json)?;
    for (name, data) in members {
        archive::push(&mut bytes, name, data)?;
    }
    archive::finish(&mut bytes);
    seal(&mut bytes);
    Ok(bytes)
}

/// Appends the digest of all bytes so far.
fn seal(bytes: &mut Vec<u8>) {
    let digest = Digest::of(bytes);
    bytes.extend_from_slice(&digest.0);
}

fn check_digest(bytes: &[u8]) -> Result<Digest, PackageFault> {
    let Some((content, trailer)) = bytes.split_last_chunk::<DIGEST_BYTES>() else {
        let expected = format!("at least {DIGEST_BYTES}");
        return Err(PackageFault::Size { expected, found: bytes.len() as u64 });
    };
    let (expected, found) = (Digest(*trailer), Digest::of(content));
    if expected != found {
        return Err(PackageFault::Digest { bytes: content.len(), expected, found });
    }
    Ok(found)
}

fn read_manifest(json: &[u8]) -> Result<Manifest, PackageFault> {
    Manifest::from_json(json).map_err(|error| match error {
        DocumentError::Version { found, .. } => PackageFault::Version { found },
        DocumentError::Format { .. } => PackageFault::Manifest(error),
    })
}

fn check_members(
    bytes: &[u8],
    members: &BTreeMap<String, Range<usize>>,
    listed: &[MemberEntry],
) -> Result<(), PackageFault> {
    let mut by_name = BTreeMap::new();
    for entry in listed {
        if by_name.insert(entry.name.as_str(), entry).is_some() {
            return Err(PackageFault::Duplicate { name: entry.name.clone(), place: "in the manifest's list" });
        }
    }
    if let Some((name, range)) = members.iter().find(|(name, _)| !by_name.contains_key(name.as_str())) {
        return Err(PackageFault::Extra { name: name.clone(), bytes: range.len() });
    }
    if let Some(entry) = listed.iter().find(|entry| !members.contains_key(&entry.name)) {
        return Err(PackageFault::Missing { name: entry.name.clone(), bytes: entry.size });
    }
    for (name, range) in members {
        let (expected, found) = (by_name[name.as_str()].size, range.len() as u64);
        if expected != found {
            return Err(PackageFault::MemberSize { name: name.clone(), expected, found });
        }
    }
    for (name, range) in members {
        let (expected, found) = (by_name[name.as_str()].sha256, Digest::of(&bytes[range.clone()]));
        if expected != found {
            return Err(PackageFault::MemberDigest { name: name.clone(), expected, found });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
