//! `--output`: where a patched copy goes, what its source is packed with, and what it is to be
//! packed with itself.
//!
//! What is packed depends on nothing but the image: no name and no time go into a gzip header,
//! and each packer runs at one level with one thread.

use crate::cli::process::{format_of, may_be_packed};
use crate::cli::report::Failure;
use crate::host::Host;
use crate::medium::nbd::Address;
use crate::medium::virtual_disk::DiskFormat;
use crate::medium::{Identity, MediumError, directory_of};
use crate::target::Kind;
use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The name that stands for standard output.
pub const STREAM: &str = "-";

/// Level of packing for gzip: the usual one.
const GZIP_LEVEL: u32 = 6;
/// Level of packing for Zstandard: the usual one.
const ZSTD_LEVEL: i32 = 3;

/// How a copy is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    Plain,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

impl Packing {
    /// As the name of the file asks for.
    ///
    /// # Errors
    /// A name that promises a packing there is none of here.
    fn of(path: &Path) -> Result<Self, Failure> {
        let extension = path.extension().and_then(|extension| extension.to_str());
        let extension = extension.unwrap_or_default().to_ascii_lowercase();
        match extension.as_str() {
            "gz" => Ok(Packing::Gzip),
            "zst" => Ok(Packing::Zstd),
            "xz" | "lzma" | "bz2" | "lz4" | "br" | "z" | "zip" | "7z" | "rar" => {
                Err(Failure::usage(format!(
                    "{}: bootbank cannot write .{extension} images",
                    path.display()
                ))
                .hint(".gz and .zst are compressed, any other name gives a plain image; for others: -o - STICK | xz > FILE"))
            }
            _ => Ok(Packing::Plain),
        }
    }
}

/// Where a copy goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Standard output.
    Stream,
    /// A file.
    File {
        /// Its name.
        path: PathBuf,
        /// How it is packed.
        packing: Packing,
    },
}

impl Place {
    /// Where the copy of `source` goes: `output` itself, or a file in it where it is a
    /// directory, under the name of the source without what packs it.
    ///
    /// # Errors
    /// A name that cannot be made.
    pub fn of(output: &Path, source: &Path) -> Result<Self, Failure> {
        if output == Path::new(STREAM) {
            return Ok(Place::Stream);
        }
        if !is_directory(output) {
            check_format(output, source)?;
            return Ok(Place::File {
                path: output.to_owned(),
                packing: Packing::of(output)?,
            });
        }
        if let Some(Ok(address)) = Address::parse(source) {
            return Ok(Place::File {
                path: output.join(address.file_name()),
                packing: Packing::Plain,
            });
        }
        let name = if is_named_as_packed(source) {
            source.file_stem()
        } else {
            source.file_name()
        };
        let name =
            name.ok_or_else(|| Failure::usage(format!("{} has no file name", source.display())))?;
        Ok(Place::File {
            path: output.join(name),
            packing: Packing::Plain,
        })
    }
}

/// Whether a file is a packed image, and its name ends as that of one.
fn is_named_as_packed(source: &Path) -> bool {
    let extension = source.extension().and_then(|it| it.to_str());
    let is_usual = |it: &str| {
        ["gz", "zst", "xz"]
            .iter()
            .any(|usual| it.eq_ignore_ascii_case(usual))
    };
    extension.is_some_and(is_usual)
        && matches!(Kind::of(source, &Host::default()), Ok(Kind::Packed(_)))
}

/// Refuses a name that promises the format of a hypervisor, where the source is not of that format:
/// such a copy is the file itself with the change in it.
fn check_format(output: &Path, source: &Path) -> Result<(), Failure> {
    let is_extent = output
        .as_os_str()
        .as_encoded_bytes()
        .ends_with(b"-flat.vmdk");
    let wanted = DiskFormat::of_name(output).filter(|_| !is_extent);
    match wanted {
        Some(format) if format_of(source) != Some(format) => Err(Failure::usage(format!(
            "{}: bootbank writes {format} copies only of {format} files",
            output.display()
        ))
        .hint(format!(
            "write a raw image with -o FILE.img, then: qemu-img convert -f raw -O {} FILE.img {}",
            format.qemu_name(),
            output.display()
        ))),
        _ => Ok(()),
    }
}

fn is_directory(output: &Path) -> bool {
    output.is_dir() || output.as_os_str().as_encoded_bytes().ends_with(b"/")
}

/// Refuses, before anything is written, outputs that are each other or a target.
///
/// # Errors
/// One place for the copies of several targets, a terminal, and files that are two things.
pub fn check_places(output: &Path, targets: &[&Path], host: &Host) -> Result<(), Failure> {
    let several = targets.len() > 1;
    if output == Path::new(STREAM) {
        if several {
            return Err(Failure::usage(
                "-o - writes one image, but there are several targets",
            ));
        }
        if io::stdout().is_terminal() {
            return Err(Failure::usage("the image would go to the terminal")
                .hint("send it somewhere else: -o - STICK | ssh host 'cat > patched.img'"));
        }
        return Ok(());
    }
    if several && !is_directory(output) {
        return Err(Failure::usage(format!(
            "--output {} names one file, but there are several targets",
            output.display()
        ))
        .hint("name a directory, with a / at the end"));
    }
    let identities: BTreeMap<Identity, &Path> = targets
        .iter()
        .filter_map(|target| Some((Identity::of(target, host).ok()?, *target)))
        .collect();
    let mut taken: BTreeMap<PathBuf, &Path> = BTreeMap::new();
    for &target in targets {
        let Place::File { path, .. } = Place::of(output, target)? else {
            continue;
        };
        let here = Identity::of(&path, host).ok();
        match here.and_then(|identity| identities.get(&identity)) {
            Some(other) if *other == target => return Err(MediumError::SameFile { path }.into()),
            Some(other) => {
                return Err(Failure::refused(format!(
                    "the copy of {} would overwrite {}, which is a target itself",
                    target.display(),
                    other.display()
                )));
            }
            None => {}
        }
        if let Some(other) = taken.insert(path.clone(), target) {
            return Err(Failure::usage(format!(
                "the copies of {} and {} would both go to {}",
                other.display(),
                target.display(),
                path.display()
            )));
        }
    }
    Ok(())
}

/// Hands a writer that packs into `file` to `fill`, and ends what is packed.
///
/// # Errors
/// What `fill` met; what the writer below reported.
pub fn pack(
    file: &mut dyn Write,
    packing: Packing,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), CopyError>,
) -> Result<(), CopyError> {
    match packing {
        Packing::Plain => fill(file),
        Packing::Gzip => {
            let level = flate2::Compression::new(GZIP_LEVEL);
            let mut encoder = flate2::GzBuilder::new().mtime(0).write(file, level);
            fill(&mut encoder)?;
            encoder.finish().map(drop).map_err(CopyError::Write)
        }
        Packing::Zstd => {
            let mut encoder = zstd::stream::write::Encoder::new(file, ZSTD_LEVEL)
                .and_then(|mut encoder| encoder.include_checksum(true).map(|()| encoder))
                .map_err(CopyError::Write)?;
            fill(&mut encoder)?;
            encoder.finish().map(drop).map_err(CopyError::Write)
        }
    }
}

/// Why an image could not be streamed.
#[derive(Debug)]
pub enum CopyError {
    /// The source.
    Read(io::Error),
    /// Where it goes.
    Write(io::Error),
    /// A signal came.
    Interrupted,
}

/// Permission bits of a copy, less the umask: a copy of an image can be read by no more people than
/// the image, and one of a disk by its owner, since both hold the secrets of a host.
pub fn mode_for(source: &Path) -> u32 {
    match std::fs::metadata(source) {
        Ok(found) if found.is_file() => found.permissions().mode() & 0o666 | 0o600,
        _ => 0o600,
    }
}

/// Whether a copy needs a place to be unpacked to on the way.
pub fn needs_scratch(source: &Path, place: &Place) -> bool {
    let is_plain = matches!(
        place,
        Place::File {
            packing: Packing::Plain,
            ..
        }
    );
    !is_plain && may_be_packed(source)
}

/// Where a packed image is unpacked to when its copy is a stream: beside the copy, or in
/// the directory for temporary files.
pub fn scratch_directory(place: &Place) -> PathBuf {
    match place {
        Place::Stream => std::env::temp_dir(),
        Place::File { path, .. } => directory_of(path),
    }
}

/// What a person calls a place.
pub fn name_of(place: &Place) -> String {
    match place {
        Place::Stream => "standard output".to_owned(),
        Place::File { path, .. } => path.display().to_string(),
    }
}

/// Makes the directory of an output that names one.
///
/// # Errors
/// What the operating system reported.
pub fn make_directory(output: &Path) -> Result<(), Failure> {
    if !is_directory(output) || output.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(output).map_err(|error| {
        Failure::io(format!(
            "cannot create the directory {}: {error}",
            output.display()
        ))
    })
}
