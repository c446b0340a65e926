//! Images made by scripts/make-image and spoiled by scripts/spoil-image, and the program run on
//! them.

use sha2::{Digest as _, Sha256};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts")
}

/// Where images are kept between runs; another directory whenever the scripts change.
fn cache() -> &'static Path {
    static CACHE: OnceLock<PathBuf> = OnceLock::new();
    CACHE.get_or_init(|| {
        let mut digest = Sha256::new();
        let mut sources: Vec<PathBuf> = fs::read_dir(scripts().join("imagelib"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "py"))
            .collect();
        sources.sort();
        sources.push(scripts().join("make-image"));
        for source in sources {
            digest.update(fs::read(source).unwrap());
        }
        let digest = digest.finalize();
        let name: String = digest
            .iter()
            .take(6)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("small-images-{name}"));
        fs::create_dir_all(&cache).unwrap();
        cache
    })
}

/// Every profile that needs nothing from elsewhere.
pub fn profiles() -> Vec<String> {
    let listed = succeed(Command::new(scripts().join("make-image")).arg("--list"));
    let text = String::from_utf8(listed.stdout).unwrap();
    let names = text.lines().filter_map(|line| line.split(' ').next());
    names
        .filter(|name| *name != "esxi702-real")
        .map(str::to_owned)
        .collect()
}

/// The small image of a profile, and the truth about it.
pub fn small(profile: &str) -> (PathBuf, PathBuf) {
    let image = cache().join(format!("{profile}.img"));
    let truth = cache().join(format!("{profile}.json"));
    if !image.exists() {
        let private = tempfile::tempdir_in(cache()).unwrap();
        let (new, told) = (private.path().join("image"), private.path().join("truth"));
        let mut make = Command::new(scripts().join("make-image"));
        succeed(
            make.arg(profile)
                .arg(&new)
                .args(["--small", "--truth"])
                .arg(&told),
        );
        // The image comes last: it is what says that both are there.
        fs::rename(told, &truth).unwrap();
        fs::rename(new, &image).unwrap();
    }
    (image, truth)
}

/// A target of its own in a directory of its own, with a home for undo files.
pub struct Scene {
    directory: tempfile::TempDir,
}

impl Scene {
    /// A scene without a target.
    pub fn empty() -> Self {
        Scene {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// The sound image of a profile.
    pub fn sound(profile: &str) -> Self {
        let scene = Self::empty();
        // cp keeps the holes.
        let mut copy = Command::new("cp");
        succeed(
            copy.args(["--sparse=always", "--"])
                .arg(small(profile).0)
                .arg(scene.target()),
        );
        scene
    }

    /// The image of a profile, spoiled.
    pub fn spoiled(profile: &str, lie: &str) -> Self {
        let scene = Self::empty();
        let (image, truth) = small(profile);
        let mut spoil = Command::new(scripts().join("spoil-image"));
        succeed(spoil.arg(image).arg(truth).arg(lie).arg(scene.target()));
        scene
    }

    pub fn target(&self) -> PathBuf {
        self.directory.path().join("stick.img")
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Directory of the scene, to be made accessible to another user.
    pub fn open_to_all(&self) {
        fs::set_permissions(self.directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    }

    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(fs::read(self.target()).unwrap()).into()
    }

    /// Undo files that were made.
    pub fn undo_files(&self) -> Vec<PathBuf> {
        let Ok(found) = fs::read_dir(self.file("state/bootbank/undo")) else {
            return Vec::new();
        };
        found.map(|entry| entry.unwrap().path()).collect()
    }

    /// The program, ready to run with the target at its end.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bootbank"));
        command
            .args(arguments)
            .env("XDG_STATE_HOME", self.file("state"))
            .env_remove("SOURCE_DATE_EPOCH");
        command
    }

    /// Runs the program on the target.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::new(self.command(arguments).arg(self.target()))
    }
}

/// What a run of the program gave.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn new(command: &mut Command) -> Self {
        let output = output(command);
        let ran = Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        assert!(
            !ran.stderr.contains("panicked"),
            "{command:?}: {}",
            ran.stderr
        );
        ran
    }

    /// The one object of `--json`.
    pub fn object(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("not one JSON object: {error}: {self:?}"))
    }
}

pub fn output(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|error| panic!("{command:?} is needed for this test: {error}"))
}

pub fn succeed(command: &mut Command) -> Output {
    let output = output(command);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    output
}
