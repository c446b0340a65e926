//! The floor under `bootbank fix`: what its reads, writes and syncs alone cost.
//!
//!     floor LIST DATA IMAGE UNDO-FILE
//!
//! LIST has one operation on each line, as `scripts/bench.sh` records them from a run: the same
//! bytes at the same places of the image, the undo file made anew, as many syncs, and nothing
//! else. What is written is taken from DATA, in order. `cargo bench` does not run this.

// Clippy exempts test functions only, and a bench is none.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used)]

use rustix::fs::{Advice, fadvise};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// The files that operations are about.
struct Files {
    image: File,
    undo: File,
    directory: File,
}

impl Files {
    fn open(image: &Path, undo: &Path) -> Self {
        let options = || {
            let mut options = File::options();
            options.read(true).write(true);
            options
        };
        let directory = match undo.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        Files {
            image: options().open(image).expect("the image"),
            undo: options()
                .create_new(true)
                .open(undo)
                .expect("the undo file"),
            directory: File::open(directory).expect("the directory of the undo file"),
        }
    }

    fn named(&self, name: &str) -> &File {
        match name {
            "image" => &self.image,
            "undo" => &self.undo,
            "directory" => &self.directory,
            _ => panic!("no such file: {name}"),
        }
    }
}

/// Carries out one line; what it writes is taken off `data`.
fn carry_out(line: &str, files: &Files, data: &mut &[u8], buffer: &mut Vec<u8>) {
    let words: Vec<&str> = line.split(' ').collect();
    let number = |at: usize| words[at].parse::<usize>().expect("a number");
    let file = files.named(words[1]);
    match words[0] {
        "read" => {
            buffer.resize(number(3), 0);
            file.read_exact_at(buffer, number(2) as u64)
        }
        "write" => {
            let (now, later) = data.split_at(number(3));
            *data = later;
            file.write_all_at(now, number(2) as u64)
        }
        "datasync" => file.sync_data(),
        "sync" => file.sync_all(),
        // As the program asks before it reads back what it wrote.
        "forget" => fadvise(file, 0, None, Advice::DontNeed).map_err(Into::into),
        _ => panic!("no such operation: {line}"),
    }
    .unwrap_or_else(|error| panic!("{line}: {error}"));
}

fn main() {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [list, data, image, undo] = arguments.as_slice() else {
        eprintln!("usage: floor LIST DATA IMAGE UNDO-FILE; scripts/bench.sh runs this");
        std::process::exit(2);
    };
    let list = std::fs::read_to_string(list).expect("the list");
    let data = std::fs::read(data).expect("the data");
    let files = Files::open(image.as_ref(), undo.as_ref());
    let (mut rest, mut buffer) = (data.as_slice(), Vec::new());
    for line in list.lines() {
        carry_out(line, &files, &mut rest, &mut buffer);
    }
    assert!(rest.is_empty(), "{} bytes are written nowhere", rest.len());
}
