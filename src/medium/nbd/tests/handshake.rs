//! What a server says before the first request.

use super::*;

#[test]
fn a_handshake_asks_for_the_export_by_name_and_learns_what_it_is() {
    let info = block_info(512, 4096, 1 << 20).and(export_info(8192 + 100, 0b111));
    let says = bytes().raw(GREETING).and(ack(8)).and(info).and(ack(7));
    let connection = meet(says).unwrap();
    let facts = connection.facts();
    assert_eq!(facts.size, 8192, "whole blocks");
    assert!(facts.read_only && facts.can_flush && facts.structured);
    let BlockSizes {
        minimum,
        preferred,
        maximum,
    } = facts.blocks;
    assert_eq!((minimum, preferred, maximum), (512, 4096, 1 << 20));
}

#[test]
fn a_server_that_cannot_be_used_is_named_for_it() {
    let greeted = || bytes().raw(GREETING).and(ack(8));
    for (says, words) in [
        (bytes(), "closed the connection"),
        (bytes().raw(b"SSH-2.0-x\r\n123456789"), "does not greet"),
        (
            bytes().raw(b"NBDMAGIC").u64(0x0000_4202_8186_1253),
            "oldstyle",
        ),
        (bytes().raw(b"NBDMAGICIHAVEOPT\0\x02"), "fixed newstyle"),
        (
            bytes()
                .raw(GREETING)
                .and(option_reply(8, REP_ERR_TLS_REQD, b"")),
            "TLS",
        ),
        (greeted().and(option_reply(7, REP_ERR_TLS_REQD, b"")), "TLS"),
        (
            greeted().and(option_reply(7, REP_ERR_UNSUP, b"")),
            "NBD_OPT_GO",
        ),
        (
            greeted().and(option_reply(7, REP_ERR_UNKNOWN, b"no\x1b[31m such")),
            "no export `name` (no [31m such)",
        ),
        (
            greeted().and(option_reply(7, 0x8000_0002, b"")),
            "refuses to serve",
        ),
    ] {
        let said = said(meet(says));
        assert!(said.contains(words), "{said} / {words}");
    }
}

#[test]
fn a_lie_in_the_handshake_ends_it() {
    let greeted = || bytes().raw(GREETING).and(ack(8));
    let endless = (0..1000).fold(greeted(), |says, _| says.and(export_info(8192, 5)));
    let lies = [
        ("no facts", greeted().and(ack(7))),
        ("endless", endless),
        ("another option's answer", greeted().and(ack(8))),
        (
            "a fact cut short",
            greeted().and(option_reply(7, REP_INFO, b"\0\0\0")),
        ),
        (
            "huge",
            greeted().and(
                bytes()
                    .u64(OPTION_REPLY_MAGIC)
                    .u32(7)
                    .u32(REP_INFO)
                    .u32(u32::MAX),
            ),
        ),
        (
            "flags without the first",
            greeted().and(export_info(8192, 4)).and(ack(7)),
        ),
        (
            "block sizes of 11 bytes",
            greeted().and(option_reply(7, REP_INFO, b"\0\x03123456789")),
        ),
        ("block of 3", greeted().and(block_info(3, 4096, 8192))),
        ("block of 0", greeted().and(block_info(0, 4096, 8192))),
        (
            "block of 128 KiB",
            greeted().and(block_info(128 << 10, 128 << 10, 128 << 10)),
        ),
        (
            "preferred below the smallest",
            greeted().and(block_info(4096, 512, 8192)),
        ),
        (
            "largest below the preferred",
            greeted().and(block_info(512, 4096, 512)),
        ),
        (
            "largest no multiple",
            greeted().and(block_info(512, 512, 1000)),
        ),
    ];
    for (name, says) in lies {
        let said = said(meet(says));
        assert!(said.contains("broke the protocol"), "{name}: {said}");
    }
}

#[test]
fn an_export_is_had_for_writing_only_where_it_takes_writes_and_flushes() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let open = |flags: u16, access: Access| {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let greeting = bytes()
            .raw(GREETING)
            .and(option_reply(8, REP_ERR_UNSUP, b""));
        let facts = greeting.and(export_info(8192, flags)).and(ack(7));
        let first = simple(0, 1, &[0; ImageFormat::SNIFF_LEN]);
        theirs.write_all(&facts.and(first).0).unwrap();
        Export::of_virtual_disk(ours, file.path(), access, &Host::default())
    };
    for flags in [0b001, 0b011, 0b101, 0b111] {
        assert!(open(flags, Access::Read).is_ok(), "{flags:b}");
    }
    assert!(open(0b101, Access::Write).is_ok());
    for (flags, words) in [(0b001, "no flush"), (0b111, "takes no writes")] {
        let error = open(flags, Access::Write).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        assert!(error.to_string().contains(words), "{error}");
    }
    let read = open(0b101, Access::Read).unwrap();
    assert!(
        ClaimedTarget::from_export(read).is_err(),
        "opened to be read"
    );
}
