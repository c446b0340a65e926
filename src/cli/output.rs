//! `--output`: a patched copy instead of a changed target.

use super::report::Failure;
use crate::medium::Content;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

/// The first bytes of a regular file, to tell what it is.
///
/// # Errors
/// What the operating system reported.
pub fn content_of(path: &Path) -> io::Result<Content> {
    if !path.is_file() {
        return Ok(Content::Raw);
    }
    let mut first = Vec::new();
    let limit = Content::SNIFF_LEN as u64;
    File::open(path)?.take(limit).read_to_end(&mut first)?;
    Ok(Content::sniff(&first))
}

/// The bytes of the disk in a compressed image.
///
/// # Errors
/// A form that is not unpacked here, or what the operating system reported.
pub fn unpacked(path: &Path, content: Content) -> Result<Box<dyn Read>, Failure> {
    let failed = |error: io::Error| Failure::io(format!("cannot read {}: {error}", path.display()));
    let file = BufReader::new(File::open(path).map_err(failed)?);
    match content {
        Content::Gzip => Ok(Box::new(flate2::bufread::MultiGzDecoder::new(file))),
        Content::Zstd => {
            let decoder = ruzstd::decoding::StreamingDecoder::new(file)
                .map_err(|error| failed(io::Error::other(error)))?;
            Ok(Box::new(decoder))
        }
        _ => Err(crate::medium::MediumError::Compressed {
            path: path.to_owned(),
            content,
        }
        .into()),
    }
}

/// Where the copy of `source` goes: `output` itself, or a file in it where it is a directory.
///
/// # Errors
/// Several targets and no directory; a name that cannot be made.
pub fn place(output: &Path, source: &Path, several: bool) -> Result<PathBuf, Failure> {
    let is_directory = output.is_dir() || output.as_os_str().as_encoded_bytes().ends_with(b"/");
    if !is_directory {
        if several {
            return Err(Failure::usage(format!(
                "--output {} is one file and there are several targets",
                output.display()
            ))
            .hint("name a directory, with a / at its end"));
        }
        return Ok(output.to_owned());
    }
    let compressed = matches!(
        source.extension().and_then(|extension| extension.to_str()),
        Some("gz" | "zst")
    );
    let name = if compressed {
        source.file_stem()
    } else {
        source.file_name()
    };
    match name {
        Some(name) => Ok(output.join(name)),
        None => Err(Failure::usage(format!(
            "{} has no file name",
            source.display()
        ))),
    }
}
