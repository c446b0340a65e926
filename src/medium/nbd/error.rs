//! What can be wrong with an NBD server, or with what it says.

use super::patience::LONGEST_REQUEST;
use crate::error::ErrorKind;
use std::fmt;
use std::io;

/// How a connection ended that should have gone on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Disconnection {
    /// The other side closed it, or its process ended.
    Closed,
    /// Nothing came within the time that is waited.
    Silent,
    /// Something came now and then, but no whole answer within the time of a request.
    Slow,
    /// The operating system gave it up, with this error.
    Failed(io::ErrorKind),
}

impl fmt::Display for Disconnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Disconnection::Closed => f.write_str("the NBD server closed the connection"),
            Disconnection::Silent => write!(
                f,
                "the NBD server did not answer within {} seconds",
                super::TIMEOUT.as_secs()
            ),
            Disconnection::Slow => write!(
                f,
                "the NBD server took longer than {} seconds for one answer",
                LONGEST_REQUEST.as_secs()
            ),
            Disconnection::Failed(kind) => {
                write!(f, "the connection to the NBD server failed: {kind}")
            }
        }
    }
}

/// What can be wrong with an NBD server, or with what it says.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NbdError {
    /// An address that is none.
    #[error("this is not the address of an NBD export: {0}")]
    Address(&'static str),
    /// Nobody listens at the address.
    #[error("cannot connect to the NBD server: {0}")]
    Unreachable(io::Error),
    /// The connection is gone.
    #[error("{0}")]
    Lost(Disconnection),
    /// It speaks the protocol wrongly, or another one.
    #[error("the NBD server broke the protocol: {0}")]
    Protocol(&'static str),
    /// It lacks a part of the protocol that is needed.
    #[error("the NBD server is too old: {0}")]
    TooOld(&'static str),
    /// It only speaks under TLS, or the address asks for that.
    #[error("bootbank cannot use TLS with an NBD server")]
    Tls,
    /// It has no export of that name.
    #[error("the NBD server has no export `{name}`{}", in_brackets(said))]
    NoExport {
        /// The name that was asked for.
        name: String,
        /// What the server said to it.
        said: String,
    },
    /// It does not want to serve this export.
    #[error("the NBD server refuses to serve the export{}", in_brackets(said))]
    Refused {
        /// What the server said to it.
        said: String,
    },
    /// It cannot say when a write is durable.
    #[error("the NBD server offers no flush, so bootbank cannot tell when a change is safe")]
    NoFlush,
    /// A request failed there.
    #[error("the NBD server reported: {0}")]
    Request(io::Error),
}

impl NbdError {
    /// What the error means to whoever has to act on it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            NbdError::Address(_) | NbdError::NoExport { .. } => ErrorKind::Usage,
            NbdError::Unreachable(_) | NbdError::Lost(_) | NbdError::Request(_) => ErrorKind::Io,
            NbdError::Protocol(_) => ErrorKind::Damaged,
            NbdError::TooOld(_) | NbdError::Tls => ErrorKind::Unsupported,
            NbdError::Refused { .. } | NbdError::NoFlush => ErrorKind::Refused,
        }
    }
}

/// An error of the connection below.
impl From<io::Error> for NbdError {
    fn from(error: io::Error) -> Self {
        // Why the stream gave up is said already.
        let error = match error.downcast() {
            Ok(given_up) => return given_up,
            Err(error) => error,
        };
        NbdError::Lost(match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset => Disconnection::Closed,
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Disconnection::Silent,
            kind => Disconnection::Failed(kind),
        })
    }
}

fn in_brackets(said: &str) -> String {
    match said {
        "" => String::new(),
        said => format!(" ({said})"),
    }
}
