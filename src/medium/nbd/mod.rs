//! A network block device: a medium that another process holds, spoken to by the NBD protocol.
//!
//! The client side of <https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md>, as far as
//! a boot medium needs it: the fixed newstyle handshake with `NBD_OPT_GO`, block size constraints,
//! structured replies, `READ`, `WRITE`, `FLUSH` and `DISC`. One request at a time. TLS, several
//! connections to one export, and what only saves time (`WRITE_ZEROES`, `TRIM`, `BLOCK_STATUS`) are
//! left out. `FUA` is not asked for: a step of a commit is several writes and one `FLUSH`, and
//! `FLUSH` promises what `FUA` does for everything written before.
//!
//! [`Connection`] speaks the protocol over anything that can be read and written. It believes nothing
//! a server says: lengths are held against what was asked, cookies must match, and after the first
//! violation nothing more is sent. [`Export`] is a connection with a socket below, for [`super::Target`].
//!
//! The published crate `nbd` knows neither `NBD_OPT_GO` nor structured replies nor block sizes, and
//! `nbdkit` is for servers.

mod address;
mod connection;
mod error;
mod export;
mod handshake;
mod patience;
mod reply;
#[cfg(test)]
mod tests;
mod wire;

pub use address::{Address, Server};
pub use connection::Connection;
pub use error::{Disconnection, NbdError};
pub(in crate::medium) use export::identity_of;
pub use export::{Export, TIMEOUT};
pub use handshake::{BlockSizes, Facts};
