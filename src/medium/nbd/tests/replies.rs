//! What a server answers to a request.

use super::*;

#[test]
fn data_comes_whole_or_in_chunks_and_holes_in_any_order() {
    let data = |start: u64, bytes_: &[u8]| bytes().u64(start).raw(bytes_);
    assert_eq!(
        read_of(simple(0, 1, &[7; 512]), false, 512).unwrap(),
        [7; 512]
    );
    let says = chunk(0, CHUNK_DATA, 1, data(768, &[2; 256]))
        .and(chunk(0, CHUNK_HOLE, 1, bytes().u64(512).u32(128)))
        .and(chunk(0, CHUNK_DATA, 1, data(640, &[1; 128])))
        .and(chunk(DONE, CHUNK_NONE, 1, bytes()));
    let expected = [[0; 128].as_slice(), &[1; 128], &[2; 256]].concat();
    assert_eq!(read_of(says, true, 512).unwrap(), expected);
}

#[test]
fn an_error_of_the_server_is_an_errno_and_the_connection_goes_on() {
    let says = simple(5, 1, b"")
        .and(simple(4711, 2, b""))
        .and(simple(0, 3, &[9; 512]));
    let mut connection = meet(welcome(false).and(says)).unwrap();
    let mut buf = [0; 512];
    for expected in [5, 22] {
        match connection.read(&mut buf, 0) {
            Err(NbdError::Request(error)) => assert_eq!(error.raw_os_error(), Some(expected)),
            other => panic!("{other:?}"),
        }
    }
    connection.read(&mut buf, 0).unwrap();
    assert_eq!(buf, [9; 512]);
    // A structured one ends with the chunk that says so, and what came with it does not count.
    let error = |flags, kind| chunk(flags, kind, 1, bytes().u32(28).u16(4).raw(b"full"));
    let says = error(0, 0x8001).and(error(DONE, 0x8009));
    assert!(said(read_of(says, true, 512)).contains("No space left"));
}

#[test]
fn a_reply_that_answers_something_else_is_not_believed() {
    let data = |start: u64, len: usize| bytes().u64(start).raw(&vec![1; len]);
    let whole = || chunk(DONE, CHUNK_DATA, 1, data(512, 512));
    let lies = [
        ("wrong cookie", simple(0, 2, &[1; 512]), false),
        ("structured though not agreed", whole(), false),
        (
            "simple though structured was agreed",
            simple(0, 1, &[1; 512]),
            true,
        ),
        (
            "wrong cookie of a chunk",
            chunk(DONE, CHUNK_DATA, 9, data(512, 512)),
            true,
        ),
        (
            "before what was asked",
            chunk(DONE, CHUNK_DATA, 1, data(511, 512)),
            true,
        ),
        (
            "behind what was asked",
            chunk(DONE, CHUNK_DATA, 1, data(1024, 1)),
            true,
        ),
        (
            "more than was asked",
            chunk(DONE, CHUNK_DATA, 1, data(512, 513)),
            true,
        ),
        (
            "less than was asked",
            chunk(DONE, CHUNK_DATA, 1, data(512, 511)),
            true,
        ),
        ("nothing at all", chunk(DONE, CHUNK_NONE, 1, bytes()), true),
        (
            "no data in it",
            chunk(DONE, CHUNK_DATA, 1, bytes().u64(512)),
            true,
        ),
        (
            "twice",
            chunk(0, CHUNK_DATA, 1, data(600, 9)).and(whole()),
            true,
        ),
        (
            "an empty hole",
            chunk(0, CHUNK_HOLE, 1, bytes().u64(512).u32(0)).and(whole()),
            true,
        ),
        (
            "a huge hole",
            chunk(DONE, CHUNK_HOLE, 1, bytes().u64(512).u32(u32::MAX)),
            true,
        ),
        (
            "a hole at the end of all",
            chunk(DONE, CHUNK_HOLE, 1, bytes().u64(u64::MAX).u32(2)),
            true,
        ),
        (
            "the end without saying so",
            chunk(0, CHUNK_NONE, 1, bytes()).and(whole()),
            true,
        ),
        (
            "an unknown kind",
            chunk(DONE, 5, 1, bytes().u64(0).u32(1)),
            true,
        ),
        (
            "an error cut short",
            chunk(DONE, 0x8001, 1, bytes().u32(5)),
            true,
        ),
        (
            "an error that is none",
            chunk(DONE, 0x8001, 1, bytes().u32(0).u16(0)),
            true,
        ),
        ("another magic", bytes().u32(1).raw(&[0; 64]), true),
        (
            "errors without end",
            (0..100).fold(bytes(), |says, _| {
                says.and(chunk(0, 0x8001, 1, bytes().u32(5).u16(0)))
            }),
            true,
        ),
        (
            "a huge error",
            bytes()
                .u32(STRUCTURED_REPLY_MAGIC)
                .u16(0)
                .u16(0x8001)
                .u64(1)
                .u32(u32::MAX),
            true,
        ),
        (
            "huge data",
            bytes()
                .u32(STRUCTURED_REPLY_MAGIC)
                .u16(0)
                .u16(CHUNK_DATA)
                .u64(1)
                .u32(u32::MAX)
                .u64(512),
            true,
        ),
    ];
    for (name, says, structured) in lies {
        let said = said(read_of(says, structured, 512));
        assert!(said.contains("broke the protocol"), "{name}: {said}");
    }
}

#[test]
fn nothing_is_sent_after_a_broken_reply() {
    let says = simple(0, 77, b"").and(simple(0, 2, b""));
    let mut connection = meet(welcome(false).and(says)).unwrap();
    assert!(said(connection.write(&[1; 512], 0)).contains("another request"));
    assert!(matches!(
        connection.flush(),
        Err(NbdError::Lost(Disconnection::Closed))
    ));
    assert!(connection.disconnect().is_err());
}

#[test]
fn a_reply_that_breaks_off_is_a_lost_connection_and_not_the_end_of_the_medium() {
    for len in 0..16 + 512 {
        let whole = simple(0, 1, &[1; 512]).0;
        let error = read_of(bytes().raw(&whole[..len]), false, 512).unwrap_err();
        assert!(
            matches!(error, NbdError::Lost(Disconnection::Closed)),
            "{len}: {error}"
        );
    }
}
