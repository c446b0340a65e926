use super::super::{BootCfg, BootCfgEdit};
use super::*;

fn append(word: &str) -> KerneloptEdit {
    KerneloptEdit::Append(word.to_owned())
}

fn delete(word: &str) -> KerneloptEdit {
    KerneloptEdit::Delete(word.to_owned())
}

fn replace(old: &str, new: &str) -> KerneloptEdit {
    KerneloptEdit::Replace {
        old: old.to_owned(),
        new: new.to_owned(),
    }
}

#[test]
fn edits_change_the_words_asked_for_and_keep_every_other_byte() {
    let cases: [(&str, KerneloptEdit, &str); 18] = [
        ("kernelopt=\n", append("a=1"), "kernelopt=a=1\n"),
        ("kernelopt=x\n", append("a"), "kernelopt=x a\n"),
        (
            "kernelopt= x \r\nb=1\r\n",
            append("a"),
            "kernelopt= x a \r\nb=1\r\n",
        ),
        ("kernelopt=x a y\n", append("a"), "kernelopt=x a y\n"),
        ("kernelopt=aa\n", append("a"), "kernelopt=aa a\n"),
        ("kernel=b\n", append("a"), "kernel=b\nkernelopt=a\n"),
        ("kernel=b", append("a"), "kernel=b\nkernelopt=a\n"),
        ("", append("a"), "kernelopt=a\n"),
        ("kernelopt=a  b\tc\n", delete("b"), "kernelopt=a\tc\n"),
        ("kernelopt=a  b\n", delete("a"), "kernelopt=b\n"),
        ("kernelopt=a b a\n", delete("a"), "kernelopt=b\n"),
        ("kernelopt=a\n", delete("z"), "kernelopt=a\n"),
        (
            "kernelopt=a b c\n",
            replace("b", "d=2"),
            "kernelopt=a d=2 c\n",
        ),
        (
            "kernelopt=a b d c b\n",
            replace("b", "d"),
            "kernelopt=a d c\n",
        ),
        ("kernelopt=a d c\n", replace("b", "d"), "kernelopt=a d c\n"),
        // The name of an option is not the option.
        (
            "kernelopt=quiet quiet=2 x=1 quiet\n",
            replace("quiet", "loud"),
            "kernelopt=loud quiet=2 x=1\n",
        ),
        (
            "kernelopt=loud quiet=2 quiet\n",
            replace("quiet", "loud"),
            "kernelopt=loud quiet=2\n",
        ),
        // The last line counts for the loader, so that one is edited.
        (
            "kernelopt=a\nKERNELOPT=b",
            append("c"),
            "kernelopt=a\nKERNELOPT=b c",
        ),
    ];
    for (before, edit, after) in cases {
        let edited = BootCfg::parse(before.as_bytes())
            .with_kernelopt(std::slice::from_ref(&edit))
            .unwrap();
        assert_eq!(
            String::from_utf8_lossy(&edited),
            after,
            "{before:?} {edit:?}"
        );
        let again = BootCfg::parse(&edited)
            .with_kernelopt(std::slice::from_ref(&edit))
            .unwrap();
        assert_eq!(again, edited, "a second time: {before:?} {edit:?}");
    }
}

#[test]
fn a_comment_or_a_key_the_loader_does_not_see_is_never_edited() {
    let before = "#kernelopt=a\nkernelopt =b\n";
    let edited = BootCfg::parse(before.as_bytes())
        .with_kernelopt(&[append("c")])
        .unwrap();
    assert_eq!(edited, format!("{before}kernelopt=c\n").into_bytes());
}

#[test]
fn options_go_before_nul_padding() {
    let edited = BootCfg::parse(b"kernel=b\n\0\0\0")
        .with_kernelopt(&[append("c")])
        .unwrap();
    assert_eq!(edited, b"kernel=b\nkernelopt=c\n\0\0\0");
}

#[test]
fn what_is_no_single_word_is_refused() {
    for word in ["", "a b", "a\n", "a\0", "\t"] {
        let error = BootCfg::parse(b"")
            .with_kernelopt(&[append(word)])
            .unwrap_err();
        let word = word.to_owned();
        assert_eq!(error, KerneloptError::NotAWord { word });
        assert_eq!(error.kind(), ErrorKind::Usage);
    }
}

#[test]
fn replacing_what_is_not_there_is_refused() {
    let error = BootCfg::parse(b"kernelopt=a\n")
        .with_kernelopt(&[replace("b", "c")])
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no kernel option \"b\" to replace"
    );
}

#[test]
fn the_bootstate_digit_stays_within_the_loaders_reach() {
    let long = "x".repeat(500);
    let before = format!("kernelopt=a\nbootstate=0\ntitle={long}\n");
    let cfg = BootCfg::parse(before.as_bytes());
    assert_eq!(cfg.bootstate_digit_at(), Some(22));
    let error = cfg.with_kernelopt(&[append(&long)]).unwrap_err();
    assert_eq!(error, KerneloptError::BootstateOutOfReach);
    assert_eq!(error.kind(), ErrorKind::Refused);
    let behind = format!("bootstate=0\nkernelopt=a\ntitle={long}\n");
    assert!(
        BootCfg::parse(behind.as_bytes())
            .with_kernelopt(&[append(&long)])
            .is_ok()
    );
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_edited_without_panic_and_the_loader_sees_the_option(
        raw in "[ -~\n\r\t\\x00]{0,300}"
    ) {
        let cfg = BootCfg::parse(raw.as_bytes());
        if let Ok(edited) = cfg.with_kernelopt(&[append("zz=1")]) {
            let options = BootCfg::parse(&edited).kernelopt.unwrap_or_default();
            proptest::prop_assert!(options.split(' ').any(|word| word == "zz=1"), "{options:?}");
            let back = BootCfg::parse(&edited).with_kernelopt(&[delete("zz=1")]);
            proptest::prop_assert!(back.is_ok());
        }
    }
}

/// Half a million options, and lines: a look at all of them for each one would take hours.
#[test]
fn what_stands_there_many_times_is_taken_out_in_one_pass() {
    let many = format!(
        "kernelopt=b {} c\ntitle=x\n",
        "a ".repeat(500_000).trim_end()
    );
    let edited = BootCfg::parse(many.as_bytes()).with_kernelopt(&[delete("a")]);
    assert_eq!(edited.unwrap(), b"kernelopt=b c\ntitle=x\n");
    let only = "kernelopt=a  a=1 a b\n";
    let edited = BootCfg::parse(only.as_bytes()).with_kernelopt(&[delete("a")]);
    assert_eq!(edited.unwrap(), b"kernelopt=b\n");
    let lines = format!("x=1\n{}", "timeout=5\n".repeat(100_000));
    let cfg = BootCfg::parse(lines.as_bytes());
    assert_eq!(
        cfg.with_setting(&BootCfgEdit::remove("timeout")).unwrap(),
        b"x=1\n"
    );
    let states = "bootstate=0\n".repeat(80_000);
    let cfg = BootCfg::parse(states.as_bytes());
    let set = cfg
        .with_setting(&BootCfgEdit::set("bootstate", "3"))
        .unwrap();
    assert_eq!(set, "bootstate=3\n".repeat(80_000).as_bytes());
}

/// The result is told, not the steps: two texts that are both right are not turned into each other.
#[test]
fn what_is_appended_stays_where_it_is_while_others_of_its_name_are_deleted() {
    let cases: [(&str, &[&str], &[&str], &str); 7] = [
        ("a foo=1 zed", &["foo"], &["foo=1"], "a foo=1 zed"),
        ("a foo=2 foo=1 zed foo", &["foo"], &["foo=1"], "a foo=1 zed"),
        ("a foo=2 zed", &["foo"], &["foo=1"], "a zed foo=1"),
        (
            "foo=2 a foo=1",
            &["foo"],
            &["foo=1", "foo=2"],
            "foo=2 a foo=1",
        ),
        ("foo=1 a foo=1", &["foo=1"], &["foo=1"], "foo=1 a foo=1"),
        ("foo=1 a foo", &["foo"], &["foo"], "a foo"),
        ("foo=1 fool=1", &["foo"], &["fool=1"], "fool=1"),
    ];
    for (before, deleted, appended, after) in cases {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let (deleted, appended): (Vec<String>, Vec<String>) = (owned(deleted), owned(appended));
        let edits = KerneloptEdit::to_result(&deleted, &appended);
        let line = |options: &str| format!("kernelopt={options}\n");
        for text in [before, after] {
            let edited = BootCfg::parse(line(text).as_bytes()).with_kernelopt(&edits);
            let edited = String::from_utf8(edited.unwrap()).unwrap();
            assert_eq!(edited, line(after), "{text:?} {edits:?}");
        }
    }
}
