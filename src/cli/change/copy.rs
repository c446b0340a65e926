//! `--output`: a copy of the target with the change in it.
//!
//! A copy that stays a raw image is made by sharing or copying blocks and then patched like
//! any medium, under a name nobody sees yet. One that is a stream, or packed, is written once
//! from end to end, through the verified plan laid over its source.

use super::args::Mode;
use super::one::Origin;
use super::output::{self, CopyError, Packing, Place};
use super::{ChangeObject, One, Outcome};
use crate::cli::report::{Exit, Failure};
use crate::cli::session::unpack_failure;
use crate::cli::terminal::{shown, standard};
use crate::commit::Overlay;
use crate::medium::nbd::Export;
use crate::medium::virtual_disk::{DiskFormat, VirtualDiskError};
use crate::medium::{
    Access, CachedReads, ClaimedTarget, ImageFormat, MediumError, OutputFile, ReadAt, SparseReads,
    WriteAt, open_regular,
};
use crate::stick::Plan;
use crate::target::{Kind, unpacked};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::Path;

/// Bytes held at once while streaming.
const CHUNK: usize = 1 << 20;

/// How the file of a copy is made.
#[derive(Clone, Copy)]
pub(super) struct Making {
    /// Whether it may take the place of another.
    pub(super) force: bool,
    /// Its permission bits, less the umask.
    pub(super) mode: u32,
}

impl One<'_> {
    /// Makes the copy of one target.
    pub(super) fn copy(
        &self,
        source: &Path,
        place: &Place,
        force: bool,
        object: &mut ChangeObject,
    ) -> Result<Exit, Failure> {
        let ui = &self.job.session.ui;
        if let Mode::Output { path, .. } = &self.job.way.mode {
            output::make_directory(path)?;
        }
        let kind = Kind::of(source, &self.job.session.host);
        let working = self.job.session.interrupt.working();
        let mode = output::mode_for(source);
        let making = Making { force, mode };
        let exit = match kind {
            Ok(Kind::State) => self.copy_state_file(source, place, making, object),
            Ok(Kind::Packed(format)) => self.copy_unpacked(source, format, place, making, object),
            Ok(Kind::VirtualDisk(format)) if keeps_format(place, format) => {
                self.copy_virtual_disk(source, place, making, object)
            }
            // What cannot be told is said by what opens it.
            _ => self.copy_raw(source, place, making, object),
        };
        ui.end_bytes();
        let explained = exit?;
        working.done();
        object.output = Some(output::name_of(place));
        let done = match object.outcome {
            Outcome::Changed => "written with the change",
            _ => "written; there was nothing to change",
        };
        let line = format!("{}: {done}", output::name_of(place));
        if ui.is_brief() {
            ui.text(&format!("{}\n", shown(&line)))
        } else {
            ui.say(&line);
            explained.iter().for_each(|text| ui.say(text));
        }
        Ok(Exit::Done)
    }

    fn copy_raw(
        &self,
        source: &Path,
        place: &Place,
        making: Making,
        object: &mut ChangeObject,
    ) -> Result<Vec<String>, Failure> {
        let target = self.job.session.open_read(source)?;
        self.job.session.ui.begin_bytes(target.size());
        let origin = Origin::of(&target);
        match place {
            Place::File {
                path,
                packing: Packing::Plain,
            } => {
                // What is wrong with the source is found before a byte of it is copied.
                let medium = CachedReads::new(&target);
                let stick = self.job.session.open_stick(&medium, origin.sector_size)?;
                self.plan(&stick, origin.disk)?;
                let mut copy = self.output(path, making)?;
                copy.fill_from(&target, &mut |at| self.proceed(at))
                    .map_err(|error| copy_failure(error, source))?;
                self.patch(copy, origin, place, object)
            }
            _ => {
                let whole = SparseReads::new(&target);
                self.stream(&whole, origin, place, making, object)
            }
        }
    }

    /// Copies the file of a virtual disk, and makes the change in the disk in that copy.
    fn copy_virtual_disk(
        &self,
        source: &Path,
        place: &Place,
        making: Making,
        object: &mut ChangeObject,
    ) -> Result<Vec<String>, Failure> {
        let session = self.job.session;
        let original = session.open_read(source)?;
        let medium = CachedReads::new(&original);
        self.plan(&session.open_stick(&medium, None)?, None)?;
        let (Place::File { path, .. }, Some(mut server)) =
            (place, session.links.server_of_copy(source)?)
        else {
            return Err(Failure::usage("a virtual disk is copied to a file, once"));
        };
        let failed = |error: VirtualDiskError| error.in_file(source);
        let failed_io = |op, error| copy_failure(MediumError::io(op, source, error), source);
        let mut file = open_regular(source).map_err(|error| failed_io("open", error))?;
        let size = file
            .metadata()
            .map_err(|error| failed_io("look up", error))?
            .len();
        session.ui.begin_bytes(size);
        let mut copy = self.output(path, making)?;
        copy.fill_from_reader(&mut file, &mut |at| self.proceed(at))
            .map_err(|error| match error {
                MediumError::Unpack { source } => failed_io("copy", source),
                error => copy_failure(error, source),
            })?;
        let partial = copy.partial_path();
        let connection = server.serve(&partial).map_err(failed)?;
        let export = Export::of_virtual_disk(connection, &partial, Access::Write, &session.host)?;
        server.met().map_err(failed)?;
        let target = ClaimedTarget::from_export(export)?;
        let explained = self.planned(
            &target,
            Origin::default(),
            object,
            |medium, _, plan, object| self.change_copy(medium, plan, place, object),
        )?;
        drop(target);
        server.end().map_err(failed)?;
        copy.publish()?;
        Ok(explained)
    }

    fn copy_unpacked(
        &self,
        source: &Path,
        format: ImageFormat,
        place: &Place,
        making: Making,
        object: &mut ChangeObject,
    ) -> Result<Vec<String>, Failure> {
        let mut reader = unpacked(source, format, self.job.session.common.bounds())?;
        let (mut copy, is_plain) = match place {
            Place::File {
                path,
                packing: Packing::Plain,
            } => (self.output(path, making)?, true),
            _ => (self.scratch(place)?, false),
        };
        copy.fill_from_reader(&mut reader, &mut |at| self.proceed(at))
            .map_err(|error| copy_failure(error, source))?;
        if is_plain {
            self.patch(copy, Origin::default(), place, object)
        } else {
            self.stream(&copy.complete(), Origin::default(), place, making, object)
        }
    }

    /// Makes the change in a copy nobody sees yet, and gives it its name.
    fn patch(
        &self,
        copy: OutputFile,
        origin: Origin<'_>,
        place: &Place,
        object: &mut ChangeObject,
    ) -> Result<Vec<String>, Failure> {
        let explained = self.planned(&copy, origin, object, |medium, _, plan, object| {
            self.change_copy(medium, plan, place, object)
        })?;
        copy.publish()?;
        Ok(explained)
    }

    /// Carries the plan out on a copy, and says what is to be said of it.
    fn change_copy(
        &self,
        medium: &dyn WriteAt,
        plan: &Plan,
        place: &Place,
        object: &mut ChangeObject,
    ) -> Result<Vec<String>, Failure> {
        if !plan.is_empty() {
            self.confirm_copy(plan, &output::name_of(place))?;
            self.commit(medium, None, plan, object)?;
        }
        Ok(self.explained(plan, &output::name_of(place)))
    }

    /// Writes all of a medium with the change in it, from end to end.
    fn stream(
        &self,
        source: &dyn ReadAt,
        origin: Origin<'_>,
        place: &Place,
        making: Making,
        object: &mut ChangeObject,
    ) -> Result<Vec<String>, Failure> {
        let explained = self.planned(&source, origin, object, |_, _, plan, object| {
            self.confirm_copy(plan, &output::name_of(place))?;
            let patched = Overlay::new(source, &plan.set);
            match place {
                Place::Stream => {
                    standard::stdout()
                        .map_err(CopyError::Write)
                        .and_then(|mut stdout| {
                            self.pour(&patched, &mut stdout)?;
                            stdout.flush().map_err(CopyError::Write)
                        })
                        .map_err(|error| {
                            stream_failure(error, |error| {
                                Failure::io(format!("cannot write to standard output: {error}"))
                            })
                        })?;
                }
                Place::File { path, packing } => {
                    let mut file = self.output(path, making)?;
                    let packed = output::pack(&mut file, *packing, |out| self.pour(&patched, out));
                    packed.map_err(|error| {
                        stream_failure(error, |error| file.write_error(error).into())
                    })?;
                    file.publish()?;
                }
            }
            if !plan.is_empty() {
                object.outcome = Outcome::Changed;
            }
            Ok(self.explained(plan, &output::name_of(place)))
        })?;
        object.bytes_written = source.size();
        Ok(explained)
    }

    /// What is to be said of a copy with this change in it.
    pub(super) fn explained(&self, plan: &Plan, copy: &str) -> Vec<String> {
        if plan.is_empty() {
            Vec::new()
        } else {
            self.job.afterwards(plan, Path::new(copy), true)
        }
    }

    /// A file to unpack to on the way.
    fn scratch(&self, place: &Place) -> Result<OutputFile, MediumError> {
        let directory = output::scratch_directory(place);
        self.job.session.outputs.take_scratch(&directory)
    }

    /// The file of a copy, empty.
    fn output(&self, path: &Path, making: Making) -> Result<OutputFile, MediumError> {
        let outputs = &self.job.session.outputs;
        outputs.take(path, making.force, making.mode)
    }

    fn pour(&self, source: &dyn ReadAt, out: &mut dyn Write) -> Result<(), CopyError> {
        let mut buf = vec![0; CHUNK];
        let mut position = 0;
        while position < source.size() {
            let rest = usize::try_from(source.size() - position).unwrap_or(CHUNK);
            let piece = &mut buf[..rest.min(CHUNK)];
            source.read_at(piece, position).map_err(CopyError::Read)?;
            out.write_all(piece).map_err(CopyError::Write)?;
            position += piece.len() as u64;
            if self.proceed(position).is_break() {
                return Err(CopyError::Interrupted);
            }
        }
        Ok(())
    }

    fn proceed(&self, position: u64) -> ControlFlow<()> {
        self.job.session.ui.bytes_done(position);
        if self.job.session.interrupt.requested() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

/// Whether the copy of a virtual disk stays in its format: where its name says so, or where it keeps
/// its name in another directory.
fn keeps_format(place: &Place, format: DiskFormat) -> bool {
    let Place::File { path, packing } = place else {
        return false;
    };
    *packing == Packing::Plain && DiskFormat::of_name(path) == Some(format)
}

fn copy_failure(error: MediumError, source: &Path) -> Failure {
    match error {
        MediumError::Interrupted { .. } => interrupted_copy(),
        other => unpack_failure(other, source),
    }
}

fn stream_failure(error: CopyError, write: impl FnOnce(io::Error) -> Failure) -> Failure {
    match error {
        CopyError::Read(error) => Failure::io(format!("cannot read the source: {error}")),
        CopyError::Write(error) => write(error),
        CopyError::Interrupted => interrupted_copy(),
    }
}

fn interrupted_copy() -> Failure {
    Failure::refused("interrupted; the copy was removed").exit_with(Exit::Interrupted)
}
