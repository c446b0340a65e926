//! One image for each way of lying.

use super::images::{Ran, Scene, output};
use std::collections::BTreeMap;
use std::process::Command;

/// What an image with one lie in it must lead to.
struct Lie {
    /// The image that is spoiled.
    base: &'static str,
    /// As scripts/spoil-image knows it.
    name: &'static str,
    /// `error.kind` of `fix`.
    kind: &'static str,
    /// What the message must hold: where, and what.
    says: &'static [&'static str],
    /// Exit code of `info` and of `verify`.
    info: i32,
    verify: i32,
}

const PLAIN: &str = "esxi67-usb-passthru";
const MBR: &str = "esxi40-mbr";
const ENCRYPTED: &str = "esxi702-encrypted";
const IN_STATE: &str = "partition 5: state.tgz";
const IN_LOCAL: &str = "partition 5: state.tgz:local.tgz:";
const IN_ENVELOPE: &str = "partition 5: state.tgz:local.tgz.ve:";
const IN_INFO: &str = "partition 5: state.tgz:encryption.info:";
const IN_STORE: &str = "var/lib/vmware/configstore/backup/current-store-1";

/// The whole medium is refused: every command fails.
const fn medium(
    base: &'static str,
    name: &'static str,
    kind: &'static str,
    says: &'static [&'static str],
) -> Lie {
    Lie {
        base,
        name,
        kind,
        says,
        info: 4,
        verify: 4,
    }
}

/// A bank or its state is refused: `info` shows the rest.
const fn bank(
    base: &'static str,
    name: &'static str,
    kind: &'static str,
    says: &'static [&'static str],
) -> Lie {
    let whole = medium(base, name, kind, says);
    Lie { info: 0, ..whole }
}

#[rustfmt::skip]
const LIES: &[Lie] = &[
    medium(PLAIN, "not-a-disk", "unsupported", &["not a disk"]),
    medium(PLAIN, "empty-file", "damaged", &["stick.img is empty"]),
    medium(PLAIN, "image-truncated", "damaged", &["partition 6", "bytes missing"]),
    medium(PLAIN, "image-truncated-in-first-sector", "damaged", &["300 bytes"]),
    medium(PLAIN, "gpt-header-crc-wrong", "damaged", &["primary GPT", "header's CRC", "does not boot"]),
    medium(PLAIN, "gpt-array-crc-wrong", "damaged", &["primary GPT", "entry array's CRC"]),
    medium(PLAIN, "gpt-signature-gone", "damaged", &["primary GPT", "no header at byte 512"]),
    medium(PLAIN, "gpt-array-past-end", "damaged", &["entry array", "past the medium's"]),
    medium(PLAIN, "gpt-entry-size-zero", "damaged", &["size of an entry as 0"]),
    medium(PLAIN, "gpt-entry-count-huge", "unsupported", &["2147483647 entries"]),
    medium(PLAIN, "gpt-partition-past-end", "damaged", &["partition 6", "512 bytes missing"]),
    medium(PLAIN, "gpt-partition-backwards", "damaged", &["partition 6", "before its start"]),
    medium(PLAIN, "gpt-banks-overlap", "damaged", &["partition 5", "overlaps partition 6"]),
    bank(PLAIN, "gpt-bank-over-backup", "refused", &["partition 6", "covers the backup GPT", "nothing is written"]),
    medium(PLAIN, "gpt-protective-mbr-bootable", "damaged", &["MBR entry 1", "flags 80"]),
    medium(MBR, "mbr-signature-gone", "unsupported", &["not a disk: sector 0"]),
    medium(MBR, "mbr-partition-past-end", "damaged", &["partition 4", "4294967326"]),
    medium(MBR, "ebr-loops", "damaged", &["logical partitions loops", "sector 20512"]),
    medium(MBR, "ebr-past-end", "damaged", &["logical partitions", "outside the extended partition"]),
    medium(MBR, "ebr-signature-gone", "damaged", &["sector 20512", "55 aa"]),
    medium(MBR, "ebr-logical-outside-extended", "damaged", &["logical partition 6", "outside the extended"]),
    medium(PLAIN, "no-bank", "damaged", &["no bank found", "partition 5, 6: has a boot.cfg, but not VMware's mark"]),
    medium(PLAIN, "boot-cfg-missing", "damaged", &["no bank found", "has VMware's mark, but no boot.cfg"]),
    bank(PLAIN, "no-state-in-any-bank", "damaged", &["no state on partitions 6, 5"]),

    bank(PLAIN, "fat-sector-size-zero", "damaged", &["partition 5:", "bytes per sector 0 "]),
    bank(PLAIN, "fat-sector-size-of-other-disk", "unsupported", &["partition 5:", "4096 bytes, but the disk has sectors of 512"]),
    bank(PLAIN, "fat-cluster-of-three-sectors", "damaged", &["partition 5:", "sectors per cluster 3 "]),
    bank(PLAIN, "fat-reserved-sectors-zero", "damaged", &["partition 5:", "reserved sectors 0 "]),
    bank(PLAIN, "fat-reserved-sectors-absurd", "damaged", &["partition 5:", "leaves no cluster"]),
    bank(PLAIN, "fat-copies-zero", "damaged", &["partition 5:", "number of FATs 0 "]),
    bank(PLAIN, "fat-copies-seven", "unsupported", &["partition 5:", "number of FATs 7; bootbank handles only"]),
    bank(PLAIN, "fat-root-entries-zero", "damaged", &["partition 5:", "root entries 0 "]),
    bank(PLAIN, "fat-root-entries-odd", "unsupported", &["partition 5:", "root entries 511; bootbank handles only"]),
    bank(PLAIN, "fat-too-small-for-clusters", "damaged", &["partition 5:", "FAT of 1 sector is too small"]),
    bank(PLAIN, "fat-is-fat32", "unsupported", &["partition 5:", "FAT32 (12256 clusters)"]),
    bank(PLAIN, "fat-volume-past-partition", "damaged", &["partition 5:", "volume needs 6275584 bytes, but its partition has 6275072"]),
    bank(PLAIN, "fat-total-sectors-zero", "damaged", &["partition 5:", "total sectors 0 "]),
    bank(PLAIN, "fat-copies-differ", "damaged", &["partition 5:", "copies of the FAT differ", "of state.tgz"]),
    bank(PLAIN, "fat-chain-loops", "damaged", &["partition 5:", "chain of state.tgz loops"]),
    bank(PLAIN, "fat-chains-cross", "damaged", &["partition 5:", "belongs to both state.tgz and boot.cfg"]),
    bank(PLAIN, "fat-chain-short", "damaged", &["partition 5:", "state.tgz has 15145 bytes", "its chain of 1 cluster holds 512"]),
    bank(PLAIN, "fat-chain-into-free-cluster", "damaged", &["partition 5:", "chain of state.tgz", "which is free"]),
    bank(PLAIN, "fat-chain-out-of-range", "damaged", &["partition 5:", "state.tgz", "65519, which does not exist"]),
    bank(PLAIN, "fat-chain-into-bad-cluster", "damaged", &["partition 5:", "state.tgz", "marked as bad"]),
    bank(PLAIN, "fat-entry-cluster-past-end", "damaged", &["partition 5:", "state.tgz begins at cluster 65519"]),
    bank(PLAIN, "fat-entry-cluster-zero", "damaged", &["partition 5:", "state.tgz begins at cluster 0"]),
    bank(PLAIN, "fat-entry-cluster-high-word", "damaged", &["partition 5:", "bytes 20 and 21"]),
    bank(PLAIN, "fat-entry-size-past-chain", "damaged", &["partition 5:", "state.tgz has 4294967295 bytes"]),
    bank(PLAIN, "fat-state-is-a-directory", "damaged", &["partition 5:", "state.tgz", "is a directory"]),
    bank(PLAIN, "fat-name-twice", "damaged", &["partition 5:", "two directory slots are named state.tgz"]),
    bank(PLAIN, "fat-boot-cfg-chain-loops", "damaged", &["partition 5:", "chain of boot.cfg loops"]),
    bank(PLAIN, "fat-folder-within-itself", "damaged", &["partition 5:", "b.b00/LOOP"]),

    bank(PLAIN, "gzip-truncated", "damaged", &[IN_STATE, "cut off in its data"]),
    bank(PLAIN, "gzip-truncated-in-trailer", "damaged", &[IN_STATE, "cut off in its trailer"]),
    bank(PLAIN, "gzip-crc-wrong", "damaged", &[IN_STATE, "gzip CRC is"]),
    bank(PLAIN, "gzip-size-wrong", "damaged", &[IN_STATE, "gzip trailer says"]),
    bank(PLAIN, "gzip-second-member", "damaged", &[IN_STATE, "second gzip member begins at offset 15145"]),
    bank(PLAIN, "gzip-trailing-byte", "damaged", &[IN_STATE, "other data follow the gzip trailer at offset 15145: 1 byte"]),
    bank(PLAIN, "gzip-not-gzip", "damaged", &[IN_STATE, "not gzip"]),
    bank(PLAIN, "gzip-method-unknown", "unsupported", &[IN_STATE, "gzip method at offset 2 is 7"]),
    bank(PLAIN, "gzip-flags-reserved", "unsupported", &[IN_STATE, "gzip flags 0x80"]),
    bank(PLAIN, "gzip-data-damaged", "damaged", &[IN_STATE]),
    bank(PLAIN, "gzip-empty", "damaged", &[IN_STATE, "the file is empty"]),
    bank(PLAIN, "gzip-bomb", "refused", &[IN_STATE, "more than the limit of 8388608 bytes"]),
    bank(PLAIN, "inner-gzip-truncated", "damaged", &[IN_LOCAL, "cut off in its data"]),
    bank(PLAIN, "inner-gzip-truncated-in-trailer", "damaged", &[IN_LOCAL, "cut off in its trailer"]),
    bank(PLAIN, "inner-gzip-crc-wrong", "damaged", &[IN_LOCAL, "gzip CRC is"]),
    bank(PLAIN, "inner-gzip-size-wrong", "damaged", &[IN_LOCAL, "gzip trailer says"]),
    bank(PLAIN, "inner-gzip-second-member", "damaged", &[IN_LOCAL, "second gzip member"]),
    bank(PLAIN, "inner-gzip-trailing-byte", "damaged", &[IN_LOCAL, "other data follow the gzip trailer at offset 15032: 1 byte"]),
    bank(PLAIN, "inner-gzip-not-gzip", "damaged", &[IN_LOCAL, "not gzip"]),
    bank(PLAIN, "inner-gzip-method-unknown", "unsupported", &[IN_LOCAL, "gzip method at offset 2 is 7"]),
    bank(PLAIN, "inner-gzip-flags-reserved", "unsupported", &[IN_LOCAL, "gzip flags 0x80"]),
    bank(PLAIN, "inner-gzip-data-damaged", "damaged", &[IN_LOCAL]),
    bank(PLAIN, "inner-gzip-empty", "damaged", &[IN_LOCAL, "the file is empty"]),
    bank(PLAIN, "inner-gzip-bomb", "refused", &[IN_LOCAL, "more than the limit of 8388608 bytes"]),

    bank(PLAIN, "tar-checksum-wrong", "damaged", &[IN_LOCAL, "the tar checksum of the header at offset 0 is wrong", "offset 0"]),
    bank(PLAIN, "tar-member-past-end", "damaged", &[IN_LOCAL, "has 1073741823 bytes and runs past the end", "past the end"]),
    bank(PLAIN, "tar-size-not-octal", "damaged", &[IN_LOCAL, "size field", "9999999999x"]),
    bank(PLAIN, "tar-size-negative", "damaged", &[IN_LOCAL, "size field"]),
    bank(PLAIN, "tar-end-missing", "damaged", &[IN_LOCAL, "without an end-of-archive block"]),
    bank(PLAIN, "tar-is-empty", "damaged", &[IN_LOCAL, "offset 0 without an end"]),
    bank(PLAIN, "tar-lone-zero-block", "damaged", &[IN_LOCAL, "follow a single zero block"]),
    bank(PLAIN, "tar-member-a-symlink", "unsupported", &[IN_LOCAL, "esx.conf is a symbolic link"]),
    bank(PLAIN, "tar-esx-conf-missing", "damaged", &[IN_STATE, "neither etc/vmware/esx.conf nor a ConfigStore"]),
    bank(PLAIN, "tar-esx-conf-a-hard-link-to-nothing", "damaged", &[IN_LOCAL, "hard link to etc/none"]),
    bank(PLAIN, "outer-tar-checksum-wrong", "damaged", &[IN_STATE, "the tar checksum of the header at offset 0 is wrong"]),
    bank(PLAIN, "outer-tar-member-past-end", "damaged", &[IN_STATE, "past the end"]),
    bank(PLAIN, "outer-tar-size-not-octal", "damaged", &[IN_STATE, "size field"]),
    bank(PLAIN, "outer-tar-size-negative", "damaged", &[IN_STATE, "size field"]),
    bank(PLAIN, "outer-tar-end-missing", "damaged", &[IN_STATE, "without an end-of-archive block"]),
    bank(PLAIN, "outer-tar-is-empty", "damaged", &[IN_STATE, "offset 0 without an end"]),
    bank(PLAIN, "outer-tar-lone-zero-block", "damaged", &[IN_STATE, "follow a single zero block"]),
    bank(PLAIN, "outer-tar-member-a-symlink", "unsupported", &[IN_STATE, "local.tgz is a symbolic link"]),
    bank(PLAIN, "outer-tar-local-missing", "damaged", &[IN_STATE, "neither local.tgz nor local.tgz.ve"]),
    bank(PLAIN, "outer-tar-both-forms", "unsupported", &[IN_STATE, "both local.tgz and local.tgz.ve"]),

    bank(ENCRYPTED, "envelope-key-hash-wrong", "damaged", &[IN_ENVELOPE, "does not match the hash"]),
    bank(ENCRYPTED, "envelope-nonce-flipped", "damaged", &[IN_ENVELOPE, "authentication tag"]),
    bank(ENCRYPTED, "envelope-header-magic-wrong", "damaged", &[IN_ENVELOPE, "header does not begin with DataTransformEnvelope"]),
    bank(ENCRYPTED, "envelope-header-padding-flipped", "damaged", &[IN_ENVELOPE, "byte 4000 of the header"]),
    bank(ENCRYPTED, "envelope-version-unknown", "unsupported", &[IN_ENVELOPE, "version 3"]),
    bank(ENCRYPTED, "envelope-body-flipped", "damaged", &[IN_ENVELOPE, "authentication tag"]),
    bank(ENCRYPTED, "envelope-tag-flipped", "damaged", &[IN_ENVELOPE, "authentication tag"]),
    bank(ENCRYPTED, "envelope-footer-flipped", "damaged", &[IN_ENVELOPE, "of the AEAD footer"]),
    bank(ENCRYPTED, "envelope-footer-magic-wrong", "damaged", &[IN_ENVELOPE, "AEAD footer does not begin"]),
    bank(ENCRYPTED, "envelope-body-not-4096", "damaged", &[IN_ENVELOPE, "not a multiple of 4096"]),
    bank(ENCRYPTED, "envelope-without-body", "damaged", &[IN_ENVELOPE, "has 8192 bytes, less than"]),
    bank(ENCRYPTED, "envelope-is-empty", "damaged", &[IN_ENVELOPE, "has 0 bytes, less than"]),
    bank(ENCRYPTED, "envelope-padding-too-long", "damaged", &[IN_ENVELOPE, "the padding is 24576 bytes long", "there is room for only 20480"]),
    bank(ENCRYPTED, "envelope-crypto-footer-missing", "damaged", &[IN_ENVELOPE, "crypto footer does not begin"]),
    bank(ENCRYPTED, "envelope-attribute-past-header", "damaged", &[IN_ENVELOPE, "vmware.keyHash", "past the end of the header"]),
    bank(ENCRYPTED, "envelope-cipher-unknown", "unsupported", &[IN_ENVELOPE, "AES-512-ECB"]),
    bank(ENCRYPTED, "envelope-key-info-other", "damaged", &[IN_ENVELOPE, "the envelope needs key", "encryption.info holds"]),
    bank(ENCRYPTED, "info-missing", "damaged", &[IN_STATE, "no encryption.info"]),
    bank(ENCRYPTED, "info-base64-broken", "damaged", &[IN_INFO, "data1", "base64"]),
    bank(ENCRYPTED, "info-percent-broken", "damaged", &[IN_INFO, "percent-encoding of keyId"]),
    bank(ENCRYPTED, "info-part-missing", "damaged", &[IN_INFO, "data2 is missing"]),
    bank(ENCRYPTED, "info-version-unknown", "unsupported", &[IN_INFO, "version \"9\""]),
    bank(ENCRYPTED, "info-line-broken", "damaged", &[IN_INFO, "line 3"]),
    bank(ENCRYPTED, "info-not-text", "damaged", &[IN_INFO, "not UTF-8"]),
    // Not a lie but a key that is kept elsewhere: nothing to be damaged about.
    Lie { verify: 0, ..bank(ENCRYPTED, "info-mode-unknown", "refused", &[IN_STATE, "mode QUANTUM"]) },

    bank(ENCRYPTED, "configstore-magic-wrong", "damaged", &[IN_STORE, "SQLite header at offset 0"]),
    bank(ENCRYPTED, "configstore-page-size-wrong", "damaged", &[IN_STORE, "offset 16"]),
    bank(ENCRYPTED, "configstore-page-count-wrong", "damaged", &[IN_STORE, "2147483647 pages"]),
    bank(ENCRYPTED, "configstore-truncated", "damaged", &[IN_STORE, "57344 bytes long"]),
    bank(ENCRYPTED, "configstore-is-empty", "damaged", &[IN_STORE, "shorter than a header"]),
    bank(ENCRYPTED, "configstore-page-damaged", "damaged", &[IN_STORE, "the ConfigStore is damaged"]),
    bank(ENCRYPTED, "configstore-config-is-a-view", "unsupported", &[IN_STORE, "`Config` is a view"]),
    bank(ENCRYPTED, "configstore-config-missing", "unsupported", &[IN_STORE, "no table `Config`"]),
    bank(ENCRYPTED, "configstore-column-missing", "unsupported", &[IN_STORE, "lacks the column `VitalValue`"]),
    bank(ENCRYPTED, "configstore-index-computed", "unsupported", &[IN_STORE, "index `slow`"]),
    bank(ENCRYPTED, "configstore-value-not-json", "damaged", &[IN_STORE, "UserValue", "is not JSON"]),
    bank(ENCRYPTED, "configstore-value-not-an-object", "damaged", &[IN_STORE, "UserValue", "not an object"]),
    bank(ENCRYPTED, "configstore-value-a-blob", "damaged", &[IN_STORE, "UserValue", "holds a blob"]),
    bank(ENCRYPTED, "configstore-owner-twice", "damaged", &[IN_STORE, "UserValue", "`owner` more than once"]),
    bank(ENCRYPTED, "configstore-owner-not-text", "damaged", &[IN_STORE, "UserValue", "`owner` that is not a string"]),
    bank(ENCRYPTED, "configstore-key-not-text", "damaged", &[IN_STORE, "key"]),
    bank(ENCRYPTED, "configstore-wal-member", "unsupported", &[IN_STORE, "-wal"]),
    bank(ENCRYPTED, "configstore-journal-member", "unsupported", &[IN_STORE, "-journal"]),
];

/// What no program can tell apart: any bit of nonce, body or tag spoils the tag, and sector 0
/// without its signature is no table like any other text.
const INDISTINGUISHABLE: [&str; 4] = [
    "mbr-signature-gone",
    "envelope-nonce-flipped",
    "envelope-body-flipped",
    "envelope-tag-flipped",
];

/// A limit small enough to make a bomb of a small archive.
const LIMIT: [&str; 3] = ["--json", "--max-unpacked", "8M"];

fn exit_of(kind: &str) -> i32 {
    match kind {
        "refused" => 3,
        "damaged" | "unsupported" => 4,
        other => panic!("no lie is to lead to {other}"),
    }
}

/// Runs the commands on the spoiled image and holds them against the claim. Yields the message.
fn tell(lie: &Lie) -> Result<String, String> {
    let scene = Scene::spoiled(lie.base, lie.name);
    let before = scene.digest();
    let run = |command: &[&str]| scene.run(&[command, &LIMIT].concat());
    let fix = run(&["fix"]);
    let object = fix.object();
    let message = object["error"]["message"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let wrong = |what: String| Err(format!("{}: {what}: {message}", lie.name));
    if fix.code != exit_of(lie.kind) || object["error"]["kind"] != lie.kind {
        return wrong(format!(
            "fix: exit {}, {}",
            fix.code, object["error"]["kind"]
        ));
    }
    if object["outcome"] != "failed" || object["bytes_written"] != 0 {
        return wrong(format!("outcome {}", object["outcome"]));
    }
    if let Some(missing) = lie.says.iter().find(|part| !message.contains(**part)) {
        return wrong(format!("the message does not say `{missing}`"));
    }
    if message.chars().any(char::is_control) || !fix.stderr.contains("error:") {
        return wrong(format!("not fit to be shown: {}", fix.stderr));
    }
    if message.contains("partition 5:") && object["error"]["partition"] != 5 {
        return wrong("the object does not name the partition".to_owned());
    }
    let info = run(&["info"]).code;
    let verified = run(&["verify"]);
    if (info, verified.code) != (lie.info, lie.verify) {
        return wrong(format!(
            "info {info}, verify {}: {}",
            verified.code, verified.stdout
        ));
    }
    let listed = run(&["pci", "list"]).code;
    if ![0, exit_of(lie.kind)].contains(&listed) {
        return wrong(format!("pci list: exit {listed}"));
    }
    // `--bank` leaves the other bank open, except where the lie is about both of them or the medium
    // as a whole is refused.
    let other = run(&["fix", "-n", "--bank", "6"]).code;
    let both = ["partitions 6, 5", "backup GPT"];
    let is_about_both = both.iter().any(|part| message.contains(part));
    if lie.info == 0 && lie.verify != 0 && !is_about_both && other != 0 {
        return wrong(format!("fix --bank 6: exit {other}"));
    }
    if scene.digest() != before || !scene.undo_files().is_empty() {
        return wrong("something was written".to_owned());
    }
    Ok(message)
}

/// The lies, shared out among threads; every one that is not met as claimed.
fn tell_all(lies: &[&Lie]) -> BTreeMap<&'static str, String> {
    let results: Vec<(&'static str, Result<String, String>)> = std::thread::scope(|scope| {
        let halves = lies.chunks(lies.len().div_ceil(2).max(1));
        let told = halves.map(|half| {
            scope.spawn(move || {
                half.iter()
                    .map(|lie| (lie.name, tell(lie)))
                    .collect::<Vec<_>>()
            })
        });
        let told: Vec<_> = told.collect();
        told.into_iter()
            .flat_map(|thread| thread.join().expect("a test thread"))
            .collect()
    });
    let wrong: Vec<&String> = results
        .iter()
        .filter_map(|(_, result)| result.as_ref().err())
        .collect();
    assert!(
        wrong.is_empty(),
        "{} lies are not met as claimed:\n{wrong:#?}",
        wrong.len()
    );
    results
        .into_iter()
        .filter_map(|(name, result)| Some((name, result.ok()?)))
        .collect()
}

#[test]
fn every_lie_has_its_own_error_and_nothing_is_written() {
    let lies: Vec<&Lie> = LIES.iter().collect();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for (page, ways) in [
        ("README.md", format!("| {} ways to lie, ", lies.len())),
        (
            "CHANGELOG.md",
            format!("Each of {} ways an image can lie", lies.len()),
        ),
    ] {
        let text = std::fs::read_to_string(root.join(page)).unwrap();
        assert!(text.contains(&ways), "{page}: {ways}");
    }
    let messages = tell_all(&lies);
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, message) in messages
        .iter()
        .filter(|(name, _)| !INDISTINGUISHABLE.contains(name))
    {
        if let Some(other) = seen.insert(message, name) {
            panic!("{name} and {other} have one message: {message}");
        }
    }
}

/// Media of which nothing may be written: cut off, or with a bank that covers the backup GPT.
const NOT_TO_BE_WRITTEN: [&str; 4] = [
    "image-truncated",
    "gpt-partition-past-end",
    "gpt-bank-over-backup",
    "mbr-partition-past-end",
];

/// Every command that changes a medium, as it would be asked for one with two banks.
const CHANGES: [&[&str]; 15] = [
    &["fix"],
    &["pci", "set", "-d", "00:1a.0", "-e", "true", "{}"],
    &["conf", "set", "{}", "/system/uuid", "x"],
    &["kernelopt", "modify", "{}", "-a", "noACPI"],
    &["bootcfg", "set", "{}", "timeout", "1"],
    &["bootcfg", "unset", "{}", "timeout"],
    &["host", "set", "{}", "--name", "other"],
    &["bank", "use", "5", "{}"],
    &["bank", "use", "6", "--even-if-broken", "{}"],
    &["bank", "copy", "5", "6", "{}"],
    &["bank", "mark-clean", "5", "{}"],
    &["state", "copy", "5", "6", "{}"],
    &["rm", "{}", "bank5:features.gz"],
    &["seal", "{}"],
    &["reclaim", "{}"],
];

/// No way to change a medium leads around the check of its table.
#[test]
fn no_command_writes_to_a_medium_whose_table_forbids_it() {
    let lies = LIES
        .iter()
        .filter(|lie| NOT_TO_BE_WRITTEN.contains(&lie.name));
    let mut told = 0;
    for lie in lies {
        let scene = Scene::spoiled(lie.base, lie.name);
        let before = scene.digest();
        let target = scene.target();
        let target = target.to_str().expect("UTF-8");
        for change in CHANGES {
            let mut words: Vec<&str> = change.to_vec();
            match words.iter_mut().find(|word| **word == "{}") {
                Some(place) => *place = target,
                None => words.push(target),
            }
            let options = ["--yes", "--json"];
            let ran = Ran::new(scene.command(&[]).args(&words).args(options));
            let what = format!("{}: {change:?}: {} {}", lie.name, ran.code, ran.stderr);
            assert_eq!(ran.code, exit_of(lie.kind), "{what}");
            assert_eq!(scene.digest(), before, "{what}");
        }
        told += 1;
    }
    assert_eq!(told, NOT_TO_BE_WRITTEN.len());
}

#[test]
fn every_lie_the_script_can_tell_is_held_against_a_claim() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/spoil-image");
    let listed = output(Command::new(script).arg("--list"));
    let listed = String::from_utf8(listed.stdout).expect("names");
    let claimed = |name: &str| LIES.iter().any(|lie| lie.name == name);
    let unclaimed: Vec<&str> = listed
        .lines()
        .filter(|name| !claimed(name) && !super::kept::NAMES.contains(name))
        .collect();
    assert!(unclaimed.is_empty(), "{unclaimed:?}");
}
