//! Servers that take their time.

use super::*;

#[test]
fn silence_ends_after_a_while() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    theirs.write_all(&welcome(false).0).unwrap();
    let mut connection = Connection::negotiate(ours, "name").unwrap();
    let silent = connection.read(&mut [0; 512], 0);
    assert!(matches!(silent, Err(NbdError::Lost(Disconnection::Silent))));
    // What comes too late is not taken for an answer to anything.
    theirs.write_all(&simple(0, 1, &[1; 512]).0).unwrap();
    assert!(matches!(
        connection.flush(),
        Err(NbdError::Lost(Disconnection::Closed))
    ));
}

/// Says one byte at a time, each within the time that is waited for one.
struct Dripping {
    script: Script,
    pause: Duration,
}

impl Read for Dripping {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        std::thread::sleep(self.pause);
        let len = buf.len().min(1);
        self.script.read(&mut buf[..len])
    }
}

impl Write for Dripping {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.script.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_server_that_drips_is_given_up_and_each_request_has_its_own_time() {
    let dripping = |answers: Bytes, pause: u64| Dripping {
        script: Script {
            says: Cursor::new(welcome(false).and(answers).0),
            heard: Vec::new(),
        },
        pause: Duration::from_micros(pause),
    };
    let answers = (1..=3).fold(bytes(), |all, cookie| all.and(simple(0, cookie, &[1; 512])));
    // With time enough every answer is had.
    let mut drips = dripping(answers.clone(), 0);
    let patience = Duration::from_secs(30);
    let mut connection = Connection::negotiate_within(drips, "name", patience).unwrap();
    for _ in 0..3 {
        connection.read(&mut [0; 512], 0).unwrap();
    }
    drips = dripping(answers, 1000);
    let patience = Duration::from_millis(300);
    let slow = Connection::negotiate_within(drips, "name", patience)
        .and_then(|mut connection| connection.read(&mut [0; 512], 0));
    assert!(matches!(slow, Err(NbdError::Lost(Disconnection::Slow))));
}
