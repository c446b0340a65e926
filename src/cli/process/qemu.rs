//! QEMU as the reader and writer of virtual disks: `qemu-img` says what is in a file, `qemu-nbd`
//! serves it to this process alone.
//!
//! No run leaves a server behind, however it ends. `qemu-nbd` ends when its client leaves, and the
//! client is this process; should that die before the two have met, a shell that holds the other
//! end of a pipe ends the server, however long that takes to start. The shell, the server and its socket are there before the process
//! confines itself; the socket's name is gone before the server starts, so nobody else can connect.

use super::confine::start_held;
use crate::medium::nbd::TIMEOUT;
use crate::medium::virtual_disk::{DiskFormat, DiskInfo, VirtualDiskError};
use crate::medium::{Access, ImageFormat, in_proc, open_regular};
use rustix::fs::MemfdFlags;
use std::ffi::OsString;
use std::fs::{DirBuilder, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// Longest chain of backing files.
const LONGEST_CHAIN: usize = 64;

/// Other directories for a socket that may be in the way.
const MOST_NAMES: u32 = 1000;

/// How long a server may take to close its file, and how often it is looked for.
const LOOKS: u32 = 3000;
const LOOK_PAUSE: Duration = Duration::from_millis(10);

/// Bytes of QEMU's messages that are passed on.
const LONGEST_MESSAGE: u64 = 4096;

/// Waits for the name of the file, starts the server on it, and ends that when nobody holds the
/// other end of its input any more. The server gets the listening socket as systemd would hand it
/// over. Its arguments come last.
///
/// A server that is still starting forgets a SIGTERM, and one that closes its file is not disturbed by
/// more of them: it gets one after the other. Only where its client never met it is it killed outright
/// where all that does not help, and the shell with it. What is signalled is the shell's own process group,
/// whose number nobody else gets while the shell is there; a shell can have taken the server's end without
/// being asked, and then that number may be another's.
const KEEPER: &str = r#"
exec 3<&0 4<&1 0</dev/null 1>&2
IFS= read -r image <&4 || exit 0
sh -c 'LISTEN_PID=$$ && LISTEN_FDS=1 && export LISTEN_PID LISTEN_FDS && exec "$@" 4<&-' sh "$@" "$image" &
server=$!
exec 3<&-
met=
read -r met <&4 && read -r _ <&4
exec 4<&-
trap '' TERM
tries=250
while [ "$tries" -gt 0 ] && kill -0 "$server" 2>/dev/null; do
    kill -TERM 0
    sleep 0.02 2>/dev/null || sleep 1
    tries=$((tries - 1))
done
[ -n "$met" ] || ! kill -0 "$server" 2>/dev/null || kill -KILL 0
wait "$server"
"#;

/// The format of the virtual disk in a file; `None` for any other file.
pub fn format_of(path: &Path) -> Option<DiskFormat> {
    let mut first = Vec::new();
    let limit = ImageFormat::SNIFF_LEN as u64;
    let read = open_regular(path).and_then(|file| file.take(limit).read_to_end(&mut first));
    read.ok()
        .and_then(|_| DiskFormat::of(ImageFormat::sniff(&first)))
}

/// QEMU's programs, as far as they are needed.
#[derive(Clone, Debug)]
pub struct Qemu {
    img: PathBuf,
    nbd: PathBuf,
    /// Whether it is held to the files that it is started for.
    sandbox: bool,
}

impl Qemu {
    /// Finds them where this machine has programs. With `sandbox` they can change no other file than they are
    /// started for.
    pub fn find(sandbox: bool) -> Option<Self> {
        Some(Qemu {
            img: program("qemu-img")?,
            nbd: program("qemu-nbd")?,
            sandbox,
        })
    }

    /// Starts a program of QEMU that is to change these files at most.
    fn start<T: Send>(
        &self,
        writes: &[File],
        start: impl FnOnce() -> io::Result<T> + Send,
    ) -> io::Result<T> {
        if self.sandbox {
            start_held(writes, start).map_err(io::Error::other)?
        } else {
            start()
        }
    }

    /// Looks at a virtual disk and at what it names, and refuses what cannot be opened that way.
    ///
    /// # Errors
    /// As [`DiskInfo::check`] and [`DiskInfo::backing`], of any file of the chain.
    pub fn inspect(
        &self,
        file: &Path,
        format: DiskFormat,
        access: Access,
        even_with_snapshots: bool,
    ) -> Result<DiskInfo, VirtualDiskError> {
        // What has a colon in front of its first slash is no name of a file to QEMU.
        let file = std::path::absolute(file).map_err(not_started)?;
        let top = self.info(&file, format.qemu_name())?;
        top.check(&file, access, even_with_snapshots)?;
        let mut below = top.backing()?;
        for _ in 0..LONGEST_CHAIN {
            let Some(next) = below else {
                return Ok(top);
            };
            let info = self.info(&next.file, &next.format)?;
            info.check(&next.file, Access::Read, true)?;
            below = info.backing()?;
        }
        Err(VirtualDiskError::Unopened {
            said: "the chain of backing files does not end".to_owned(),
        })
    }

    fn info(&self, file: &Path, format: &str) -> Result<DiskInfo, VirtualDiskError> {
        let mut command = Command::new(&self.img);
        command
            .args(["info", "--output=json", "-f", format, "--"])
            .arg(file);
        command.env("LC_ALL", "C").stdin(Stdio::null());
        let output = self.start(&[], || command.output()).map_err(not_started)?;
        if output.status.success() {
            DiskInfo::from_json(&output.stdout)
        } else {
            Err(unopened(&output.stderr))
        }
    }

    /// Makes ready a server of a virtual disk of that format; [`Server::serve`] names the file. It can change
    /// the files `held_to` alone, where these are known.
    ///
    /// # Errors
    /// What the operating system reported.
    pub fn server(
        &self,
        format: DiskFormat,
        access: Access,
        cache: Cache,
        held_to: Option<&[File]>,
    ) -> Result<Server, VirtualDiskError> {
        let mut arguments = vec![self.nbd.clone().into_os_string()];
        arguments.extend(["-f", format.qemu_name()].map(OsString::from));
        match access {
            Access::Read => arguments.push("--read-only".into()),
            Access::Write => arguments.push(cache.argument().into()),
        }
        arguments.push("--".into());
        let spawn = |command: &mut Command| match held_to {
            Some(writes) => self.start(writes, || command.spawn()),
            None => command.spawn(),
        };
        Server::start(&arguments, spawn).map_err(not_started)
    }
}

/// How a server that writes goes about this machine's cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// Past it. Not every file system can.
    None,
    /// Through it, to the disk, at each write.
    WriteThrough,
}

impl Cache {
    /// The one for a file: past the cache where its file system can.
    pub fn for_file(file: &Path) -> Self {
        use rustix::fs::{Mode, OFlags};
        let flags = OFlags::RDONLY | OFlags::DIRECT | OFlags::CLOEXEC;
        match rustix::fs::open(file, flags, Mode::empty()) {
            Ok(_) => Cache::None,
            Err(_) => Cache::WriteThrough,
        }
    }

    fn argument(self) -> &'static str {
        match self {
            Cache::None => "--cache=none",
            Cache::WriteThrough => "--cache=writethrough",
        }
    }
}

/// A server of one virtual disk.
#[derive(Debug)]
pub struct Server {
    keeper: Child,
    /// What it says, in memory: nobody has to read it for the server to go on.
    said: File,
    /// While it is open the server may run.
    leash: UnixStream,
    /// The connection to the server, until somebody takes it.
    connection: Option<UnixStream>,
    /// Whether it has served its client.
    has_met: bool,
}

impl Server {
    fn start(
        arguments: &[OsString],
        spawn: impl FnOnce(&mut Command) -> io::Result<Child>,
    ) -> io::Result<Self> {
        let (listener, connection) = private_socket()?;
        connection.set_read_timeout(Some(TIMEOUT))?;
        connection.set_write_timeout(Some(TIMEOUT))?;
        let (leash, held) = UnixStream::pair()?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", KEEPER, "sh"]).args(arguments);
        command.env("LC_ALL", "C");
        // A key pressed at the terminal is for this process; it decides when the server ends.
        command.process_group(0);
        command
            .stdin(OwnedFd::from(listener))
            .stdout(OwnedFd::from(held));
        let said = File::from(rustix::fs::memfd_create("said", MemfdFlags::CLOEXEC)?);
        let keeper = spawn(command.stderr(said.try_clone()?))?;
        Ok(Server {
            keeper,
            said,
            leash,
            connection: Some(connection),
            has_met: false,
        })
    }

    /// Lets it serve a file, and hands over the connection to it.
    ///
    /// # Errors
    /// A name with a line break; what the operating system reported.
    pub fn serve(&mut self, file: &Path) -> Result<UnixStream, VirtualDiskError> {
        let file = std::path::absolute(file).map_err(not_started)?;
        let mut line = file.as_os_str().as_bytes().to_vec();
        if line.contains(&b'\n') {
            return Err(VirtualDiskError::Name);
        }
        line.push(b'\n');
        self.leash.write_all(&line).map_err(not_started)?;
        let connection = self.connection.take();
        connection.ok_or_else(|| not_started(io::ErrorKind::NotConnected.into()))
    }

    /// The client has met the server: from now on it may write.
    ///
    /// # Errors
    /// What the operating system reported.
    pub fn met(&mut self) -> Result<(), VirtualDiskError> {
        self.has_met = true;
        self.leash.write_all(b"met\n").map_err(not_started)
    }

    /// Waits until the server has closed its file. Whoever has the connection has let go of it.
    ///
    /// # Errors
    /// What QEMU said, where it did not end well: [`VirtualDiskError::NotClosed`] once it has met its client, and
    /// before that why it could not open the file.
    pub fn end(self) -> Result<(), VirtualDiskError> {
        let Server {
            mut keeper,
            said: messages,
            leash,
            connection,
            has_met,
        } = self;
        drop((leash, connection));
        let mut status = None;
        for _ in 0..LOOKS {
            status = keeper.try_wait().map_err(not_started)?;
            if status.is_some() {
                break;
            }
            sleep(LOOK_PAUSE);
        }
        let said = match status {
            Some(status) if status.success() => return Ok(()),
            Some(_) => last_of(&messages).map_err(not_started)?,
            None => b"it does not close the file".to_vec(),
        };
        Err(match has_met {
            true => VirtualDiskError::NotClosed {
                said: in_its_words(&said),
            },
            false => unopened(&said),
        })
    }
}

/// A listening socket, and a connection to it that waits to be accepted. Its name, in a directory
/// nobody else may enter, is gone again.
fn private_socket() -> io::Result<(UnixListener, UnixStream)> {
    let directory = private_directory()?;
    // The name of a socket may be shorter than that of a directory: through the directory that is open any
    // will do.
    let open = File::open(&directory)?;
    let name = Path::new(&in_proc(&open)).join("nbd");
    let connected =
        UnixListener::bind(&name).and_then(|listener| Ok((listener, UnixStream::connect(&name)?)));
    let _ = std::fs::remove_file(directory.join("nbd"));
    let _ = std::fs::remove_dir(&directory);
    connected
}

fn private_directory() -> io::Result<PathBuf> {
    let place = std::env::temp_dir();
    for attempt in 0..MOST_NAMES {
        let directory = place.join(format!("bootbank-{}-{attempt}", std::process::id()));
        match DirBuilder::new().mode(0o700).create(&directory) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(|()| directory),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// A program by its name, where `PATH` has it.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let places = std::env::split_paths(&path).filter(|place| place.is_absolute());
    let mut found = places.map(|place| place.join(name));
    found.find(|file| {
        let metadata = file.metadata();
        metadata.is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
    })
}

/// The last of what was written to a file, in whole lines: what ended a program is what it said last.
fn last_of(mut messages: &File) -> io::Result<Vec<u8>> {
    let skipped = messages.metadata()?.len().saturating_sub(LONGEST_MESSAGE);
    let mut said = Vec::new();
    messages.seek(io::SeekFrom::Start(skipped))?;
    messages.read_to_end(&mut said)?;
    if skipped > 0 {
        let line = said.iter().position(|&byte| byte == b'\n');
        said.drain(..line.map_or(0, |end| end + 1));
    }
    Ok(said)
}

fn not_started(error: io::Error) -> VirtualDiskError {
    VirtualDiskError::NotStarted(error.to_string())
}

/// Why QEMU could not open a file.
fn unopened(said: &[u8]) -> VirtualDiskError {
    // The name of the file, which QEMU quotes, is never what such a line ends with.
    let is_of_lock = |line: &str| line.contains("Failed to get ") && line.ends_with("\" lock");
    if String::from_utf8_lossy(said).lines().any(is_of_lock) {
        return VirtualDiskError::Locked;
    }
    VirtualDiskError::Unopened {
        said: in_its_words(said),
    }
}

/// QEMU's message without the name of its program, which begins every line of it.
fn in_its_words(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let lines = text.lines().map(|line| match line.split_once(": ") {
        Some((program, rest)) if program.starts_with("qemu-") => rest,
        _ => line,
    });
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    match lines.as_slice() {
        [] => "it says nothing".to_owned(),
        lines => lines.join("; "),
    }
}

#[cfg(test)]
mod tests;
