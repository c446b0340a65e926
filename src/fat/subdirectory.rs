//! One directory of a volume, by its path. Nothing else of the volume is looked at: what is damaged elsewhere is no
//! matter here, and nothing that is found this way may be written to.

use super::FatError;
use super::directory::{Entry, entries, short_name};
use super::geometry::ClusterId;
use super::reach::MAX_DIRECTORY;
use super::volume::Volume;

impl Volume<'_> {
    /// Files and directories in the directory to which these 8.3 names lead, from the root directory on, in their
    /// order, `.` and `..` among them; `None` where they lead to no directory.
    ///
    /// # Errors
    /// Those of [`Volume::chain`], [`FatError::DirectoryTooLarge`], [`FatError::Read`].
    pub fn directory(&self, path: &[&str]) -> Result<Option<Vec<Entry>>, FatError> {
        let mut found: Vec<Entry> = self.files().collect();
        for name in path {
            let short = short_name(name);
            let mut named = found.iter();
            let named = named.find(|entry| Some(entry.raw_name()) == short && entry.is_directory());
            let Some(directory) = named else {
                return Ok(None);
            };
            let chain = self.chain(directory)?;
            let bytes = chain.len() as u64 * self.geometry().cluster_bytes();
            if bytes > MAX_DIRECTORY.max(self.geometry().cluster_bytes()) {
                return Err(FatError::DirectoryTooLarge {
                    directory: path.join("/"),
                    bytes,
                    limit: MAX_DIRECTORY,
                });
            }
            let content = self.read_chain(&chain, bytes)?;
            let slots = entries(&content, |byte| self.offset_in(&chain, byte));
            found = slots.filter(Entry::owns_clusters).collect();
        }
        Ok(Some(found))
    }

    /// Where on the volume the byte at this place of a chain is.
    pub(super) fn offset_in(&self, chain: &[ClusterId], byte: usize) -> u64 {
        let (byte, cluster_bytes) = (byte as u64, self.geometry().cluster_bytes());
        let index = usize::try_from(byte / cluster_bytes).unwrap_or(usize::MAX);
        let cluster = chain.get(index);
        let start = cluster.map_or(0, |cluster| self.geometry().cluster_offset(*cluster));
        start + byte % cluster_bytes
    }
}
