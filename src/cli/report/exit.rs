//! Exit codes, and how those of several targets become one.

use crate::error::ErrorKind;

/// What the process tells its caller. The numbers are part of the command line's contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, or already so.
    Done = 0,
    /// `--check` or `diff`: there is a difference.
    Differs = 1,
    /// The request makes no sense as it was given.
    Usage = 2,
    /// Refused for safety; nothing was written.
    Refused = 3,
    /// Damaged, unsupported or not understood; nothing was written.
    Damaged = 4,
    /// The operating system or the device reported an error.
    Io = 5,
    /// Some of several targets failed, or a part of what was asked for could not be done.
    SomeFailed = 6,
    /// Stopped by a signal: this target before anything took effect, or before all of several were treated.
    Interrupted = 130,
}

impl Exit {
    /// One code for several targets: of one target its own; any failure among several is
    /// [`Exit::SomeFailed`], else any difference is a difference. An interrupt stays one.
    pub fn of_all(codes: &[Exit]) -> Exit {
        match codes {
            [] => Exit::Done,
            [only] => *only,
            several if several.contains(&Exit::Interrupted) => Exit::Interrupted,
            several => {
                let fine = |code: &Exit| matches!(code, Exit::Done | Exit::Differs);
                if !several.iter().all(fine) {
                    Exit::SomeFailed
                } else if several.contains(&Exit::Differs) {
                    Exit::Differs
                } else {
                    Exit::Done
                }
            }
        }
    }
}

impl Exit {
    /// That of another process of this program; one that was killed has none.
    pub fn of_process(code: Option<i32>) -> Exit {
        let all = [
            Exit::Done,
            Exit::Differs,
            Exit::Usage,
            Exit::Refused,
            Exit::Damaged,
            Exit::Io,
            Exit::SomeFailed,
            Exit::Interrupted,
        ];
        let same = |exit: &Exit| code == Some(i32::from(*exit as u8));
        all.into_iter().find(same).unwrap_or(Exit::Io)
    }

    /// The same, where all went well but the answer could not be given.
    pub fn or_io(self) -> Exit {
        match self {
            Exit::Done | Exit::Differs => Exit::Io,
            failed => failed,
        }
    }
}

impl From<ErrorKind> for Exit {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Refused => Exit::Refused,
            ErrorKind::Damaged | ErrorKind::Unsupported => Exit::Damaged,
            ErrorKind::Io => Exit::Io,
            ErrorKind::Usage => Exit::Usage,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        std::process::ExitCode::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn one_target_keeps_its_code_and_several_merge() {
        use Exit::{Damaged, Differs, Done, Interrupted, Refused, SomeFailed};
        let cases: [(&[Exit], Exit); 8] = [
            (&[], Done),
            (&[Refused], Refused),
            (&[Differs], Differs),
            (&[Done, Done], Done),
            (&[Done, Differs], Differs),
            (&[Differs, Damaged], SomeFailed),
            (&[Damaged, Damaged], SomeFailed),
            (&[Done, Interrupted], Interrupted),
        ];
        for (codes, expected) in cases {
            assert_eq!(Exit::of_all(codes), expected, "{codes:?}");
        }
    }
}
