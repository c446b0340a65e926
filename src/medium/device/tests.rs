//! What cannot be reached from outside on a kernel whose every driver has direct transfers.

#[path = "../../../tests/common/loops.rs"]
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod loops;

use super::*;

/// A disk of a mebibyte of ones, in a file `disk` of that directory.
fn attach(directory: &Path) -> Option<loops::LoopDevice> {
    let backing = directory.join("disk");
    std::fs::write(&backing, vec![1; 1 << 20]).unwrap();
    loops::LoopDevice::attach(&backing, &[])
}

#[test]
fn memory_for_direct_transfers_starts_at_a_page() {
    let mut bounce = Bounce::new();
    for len in [512, 4096, TRANSFER, 1] {
        let memory = bounce.get(len).unwrap();
        assert_eq!(memory.len(), len);
        assert_eq!(memory.as_ptr().addr() % ALIGNMENT, 0);
    }
}

#[test]
fn without_direct_transfers_a_disk_is_written_through_the_page_cache() {
    let dir = tempfile::tempdir().unwrap();
    let Some(attached) = attach(dir.path()) else {
        return;
    };
    let host = Host::default();
    let node = Node::look_up(attached.node(), &host).unwrap();
    let number = node.block_device().unwrap();
    let file = node.open(Access::Write, OFlags::EXCL).unwrap();
    let device = BlockDevice::new(&node, number, file, Access::Write, false).unwrap();
    assert!(!device.is_direct());
    let mut before = [0; 700];
    device.read_at(&mut before, 900).unwrap();
    assert_eq!(before, [1; 700]);
    device.write_at(&[2; 512], 1024).unwrap();
    device.sync().unwrap();
    // Changed behind the page cache's back: only a read past it can tell.
    let behind = File::options()
        .write(true)
        .open(dir.path().join("disk"))
        .unwrap();
    behind.write_all_at(&[3; 512], 2048).unwrap();
    behind.sync_all().unwrap();
    let mut sectors = [0; 2048];
    device.read_back(&mut sectors, 512).unwrap();
    assert_eq!(sectors[..512], [1; 512]);
    assert_eq!(sectors[512..1024], [2; 512]);
    assert_eq!(sectors[1024..1536], [1; 512]);
    assert_eq!(sectors[1536..], [3; 512]);
}

#[test]
fn a_driver_that_refuses_direct_transfers_keeps_its_claim_and_loses_them() {
    let dir = tempfile::tempdir().unwrap();
    let Some(attached) = attach(dir.path()) else {
        return;
    };
    let host = Host::default();
    let node = Node::look_up(attached.node(), &host).unwrap();
    let number = node.block_device().unwrap();
    let (file, direct) = claim(&node, number).unwrap();
    assert!(direct);
    let mut device = BlockDevice::new(&node, number, file, Access::Write, true).unwrap();
    device.give_up_direct().unwrap();
    assert!(!device.is_direct());
    let flags = rustix::fs::fcntl_getfl(&device.file).unwrap();
    assert!(!flags.contains(OFlags::DIRECT));
    device.write_at(&[2; 512], 512).unwrap();
    assert!(matches!(
        claim(&node, number),
        Err(MediumError::Busy { .. })
    ));
}

#[test]
fn an_error_of_a_device_that_has_gone_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let Some(attached) = attach(dir.path()) else {
        return;
    };
    let host = Host::default();
    let node = Node::look_up(attached.node(), &host).unwrap();
    let number = node.block_device().unwrap();
    let mut device = BlockDevice::open_write(&node, number).unwrap();
    let io = || io::Error::from(Errno::IO);
    let gone = |error: &io::Error| {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        matches!(
            inner,
            Some(MediumError::Vanished {
                offset: Some(512),
                ..
            })
        )
    };
    assert!(!gone(&device.explain("reading", Some(512), io())));
    assert!(gone(&device.explain(
        "reading",
        Some(512),
        Errno::NODEV.into()
    )));
    // The same machine with the device pulled out of it.
    device.host = Host::new(dir.path());
    assert!(gone(&device.explain("writing", Some(512), io())));
    let synced = device.explain("syncing", None, io()).to_string();
    assert!(synced.contains("disappeared while syncing: "), "{synced}");
}
