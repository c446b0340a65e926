use super::*;

const SAMPLE_6_7: &str = "bootstate=0\ntitle=Loading VMware ESXi\ntimeout=5\nprefix=\nkernel=b.b00\n\
    kernelopt=\nmodules=jumpstrt.gz --- k.b00 --- s.v00 quick=1 x --- state.tgz\nbuild=6.7.0-8169922\nupdated=1\n";

fn parse(text: &str) -> BootCfg {
    BootCfg::parse(text.as_bytes())
}

#[test]
fn a_boot_cfg_of_6_7_is_read_whole() {
    let cfg = parse(SAMPLE_6_7);
    assert_eq!(cfg.build.as_deref(), Some("6.7.0-8169922"));
    assert_eq!((cfg.updated, cfg.bootstate, cfg.quickboot), (1, 0, false));
    assert_eq!(cfg.title.as_deref(), Some("Loading VMware ESXi"));
    assert_eq!(cfg.kernel.as_deref(), Some("b.b00"));
    assert_eq!((cfg.prefix.as_ref(), cfg.kernelopt.as_ref()), (None, None));
    let modules: Vec<_> = cfg
        .modules
        .iter()
        .map(|m| (&*m.path, &*m.options))
        .collect();
    let expected = [
        ("jumpstrt.gz", ""),
        ("k.b00", ""),
        ("s.v00", "quick=1 x"),
        ("state.tgz", ""),
    ];
    assert_eq!(modules, expected);
    assert!(cfg.lists_module("STATE.TGZ"));
    assert!(!cfg.lists_module("local.tgz"));
    assert_eq!(cfg.problems, []);
    assert_eq!(cfg.raw(), SAMPLE_6_7.as_bytes());
    assert_eq!(cfg.bootstate_digit_at(), Some(10));
}

#[test]
fn the_kernel_and_the_modules_are_loaded_and_nothing_else() {
    let cfg = parse(SAMPLE_6_7);
    for name in ["b.b00", "B.B00", "k.b00", "state.tgz"] {
        assert!(cfg.loads(name), "{name}");
    }
    assert!(!cfg.loads("local.tgz"));
    assert!(!cfg.lists_module("b.b00"));
    // Without a kernel the empty name is none.
    let none = parse("modules=k.b00\n");
    assert!(none.loads("k.b00") && !none.loads(""));
    assert_eq!(parse("prefix=/boot\n").prefix.as_deref(), Some("/boot"));
}

#[test]
fn keys_and_numbers_are_read_as_the_loader_reads_them() {
    // Text, updated, bootstate, build, rejected.
    let cases: [(&str, u32, i32, Option<&str>, bool); 25] = [
        // Past the smallest number the loader's own stays there: its low half is 0.
        ("updated=-99999999999999999999", 0, 0, None, false),
        ("", 0, 0, None, false),
        ("updated=7", 7, 0, None, false),
        ("updated=7\r\nbootstate=1\r\n", 7, 1, None, false),
        ("UPDATED=7\nBootState=3", 7, 3, None, false),
        ("  \t updated=  7  ", 7, 0, None, false),
        ("updated =7", 0, 0, None, false),
        ("updated\t=7", 0, 0, None, false),
        ("updated=7\nupdated=9", 9, 0, None, false),
        ("updated=7\nupdated=", 0, 0, None, false),
        ("u=7\nboots=2\nb=1.0", 7, 2, Some("1.0"), false),
        ("up=7", 7, 0, None, false),
        ("updatedx=7", 0, 0, None, false),
        ("=5", 0, 0, Some("5"), false),
        ("#updated=7\n # updated=8", 0, 0, None, false),
        ("\u{feff}updated=7\nbootstate=1", 0, 1, None, false),
        ("updated=7\0\0\0\nbootstate=1\0", 7, 1, None, false),
        ("updated=7\rbootstate=1", 0, 0, None, true),
        ("updated=0x7", 0, 0, None, true),
        ("updated=+7", 0, 0, None, true),
        ("bootstate=\"0\"", 0, 0, None, true),
        ("updated=-1", u32::MAX, 0, None, false),
        ("bootstate=-1", 0, -1, None, false),
        ("bootstate=-", 0, 0, None, false),
        ("build=  6.7.0 \t x ", 0, 0, Some("6.7.0 x"), false),
    ];
    for (text, updated, bootstate, build, rejected) in cases {
        let cfg = parse(text);
        assert_eq!(cfg.updated, updated, "{text:?}");
        assert_eq!(cfg.bootstate, bootstate, "{text:?}");
        assert_eq!(cfg.build.as_deref(), build, "{text:?}");
        assert_eq!(
            cfg.rejected_by(Generation::NEWEST).is_some(),
            rejected,
            "{text:?}"
        );
    }
}

#[test]
fn each_trap_is_a_problem_with_its_line() {
    let cases = [
        (
            "a=1\nupdated=x",
            "line 2: updated is \"x\", not a number, so the loader skips the bank",
        ),
        (
            "timeout=soon",
            "line 1: timeout is \"soon\", not a number, so the boot stops",
        ),
        (
            "updated=99999999999",
            "line 1: updated is 99999999999, which does not fit in 32 bits",
        ),
        (
            "build=1\nbuild=2",
            "line 2: build is set again; the last line counts",
        ),
        ("\nu=1", "line 2: the loader reads \"u\" as updated"),
        (
            "updated =1",
            "line 1: the loader does not see updated because of a space before the =",
        ),
        (
            "\u{feff}bootstate=0",
            "line 1: the loader does not see bootstate because of a byte order mark",
        ),
    ];
    for (text, problem) in cases {
        let problems: Vec<String> = parse(text)
            .problems
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            problems.last().map(String::as_str),
            Some(problem),
            "{text:?}"
        );
    }
}

#[test]
fn only_a_line_that_is_not_seen_hides_its_option() {
    let problems = parse("updated =1\nbuild=1\nbuild=2").problems;
    let hides = |option: &str| problems.iter().filter(|it| it.hides(option)).count();
    assert_eq!((hides("UPDATED"), hides("build"), hides("")), (1, 0, 0));
}

#[test]
fn a_number_of_32_bits_fits_with_a_sign_and_without() {
    let fits = |text: &str| parse(&format!("updated={text}")).problems.is_empty();
    for text in ["4294967295", "2147483648", "-2147483648", "-1", "0"] {
        assert!(fits(text), "{text}");
    }
    for text in ["4294967296", "-2147483649"] {
        assert!(!fits(text), "{text}");
    }
}

#[test]
fn modules_are_split_as_the_loader_splits_them() {
    let cases: [(&str, &[(&str, &str)]); 7] = [
        ("", &[]),
        ("a---b", &[("a", ""), ("b", "")]),
        ("a  x  y --- b", &[("a", "x y"), ("b", "")]),
        ("--- a", &[("a", "")]),
        ("a --- --- b ---", &[("a", ""), ("b", "")]),
        ("---xa", &[("a", "")]),
        ("a ----b", &[("a", ""), ("-b", "")]),
    ];
    for (list, expected) in cases {
        let cfg = parse(&format!("modules={list}\n"));
        let modules: Vec<_> = cfg
            .modules
            .iter()
            .map(|m| (&*m.path, &*m.options))
            .collect();
        assert_eq!(modules, expected, "{list:?}");
    }
}

#[test]
fn a_module_is_listed_only_where_it_is_the_banks_own_root_file() {
    let cases = [
        ("modules=state.tgz", true),
        ("modules=/state.tgz", true),
        ("modules=//STATE.tgz x=1", true),
        ("prefix=/\nmodules=state.tgz", true),
        ("prefix=/sub\nmodules=state.tgz", false),
        ("prefix=/sub\nmodules=/state.tgz", true),
        ("modules=sub/state.tgz", false),
        ("modules=xstate.tgz", false),
        ("#modules=state.tgz", false),
    ];
    for (text, listed) in cases {
        assert_eq!(parse(text).lists_module("state.tgz"), listed, "{text:?}");
    }
}

#[test]
fn the_digit_the_loader_rewrites_is_that_of_the_first_spelled_out_line() {
    let far = format!("title={}\nbootstate=1\n", "x".repeat(600));
    let edge = format!("#{}\nbootstate=1\n", "x".repeat(500 - 1));
    let cases: [(&str, Option<usize>); 11] = [
        ("bootstate=1", Some(10)),
        ("build=1\n \tBOOTSTATE \t= \t2\n", Some(24)),
        ("bootstate=0\nbootstate=1\n", Some(10)),
        ("boot=1", None),
        ("bootstate=4", None),
        ("bootstate=", None),
        ("kernelopt=bootstate=1\n", None),
        ("kernelopt=bootstate=1\nbootstate=2", Some(32)),
        ("bootstates=1\nbootstate=2", Some(23)),
        (&far, None),
        (&edge, Some(511)),
    ];
    for (text, at) in cases {
        assert_eq!(parse(text).bootstate_digit_at(), at, "{text:?}");
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_without_panic_and_kept(
        raw in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..600)
    ) {
        let cfg = BootCfg::parse(&raw);
        proptest::prop_assert_eq!(cfg.raw(), &raw[..]);
        if let Some(at) = cfg.bootstate_digit_at() {
            proptest::prop_assert!(at < 512 && matches!(raw[at], b'0'..=b'3'));
        }
    }
}

#[test]
fn a_name_that_the_text_ends_behind_is_broken_off() {
    let binary = b"kernel=b.b00\0\nmodules=a.v00 --- b.v00\0 --- c.v00\nacpitables=d.aml\0x\n";
    let cfg = BootCfg::parse(binary);
    assert_eq!(cfg.kernel_broken_off().as_deref(), Some("b.b00"));
    let last = |list: &[Module]| list.last().and_then(Module::broken_off);
    assert_eq!(last(&cfg.modules).as_deref(), Some("b.v00"));
    assert_eq!(cfg.modules[0].broken_off(), None);
    assert_eq!(last(&cfg.acpi_tables).as_deref(), Some("d.aml"));
    let whole = BootCfg::parse(b"kernel=old\0\nkernel=b.b00\nmodules=a.v00 --- b.v00\n");
    assert_eq!(whole.kernel_broken_off(), None);
    assert_eq!(last(&whole.modules), None);
}

/// A minus makes no number before 8.0 U1, and an option that a release does not know stops nothing.
#[test]
fn a_number_with_a_minus_is_fatal_where_mboot_knows_the_option() {
    let fatal = |text: &[u8], generation| BootCfg::parse(text).fatal_to(generation).is_some();
    for (text, before, since) in [
        (&b"timeout=-1\n"[..], true, false),
        (b"skip=-1\n", false, false),
        (b"bootstate=-1\n", false, false),
        (b"timeout=x\n", true, true),
        (b"skip=x\n", false, true),
    ] {
        assert_eq!(
            fatal(text, Generation::From70),
            before,
            "{}",
            text.escape_ascii()
        );
        assert_eq!(
            fatal(text, Generation::From80U1),
            since,
            "{}",
            text.escape_ascii()
        );
    }
}
