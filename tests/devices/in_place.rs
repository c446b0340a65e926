//! Rewriting the old clusters, where a bank has no room for a second copy.

use crate::crash::{Cut, apply, each_state};
use crate::loops::Mounted;
use crate::media::{Counts, Event, Fault, Faulty, Recorder};
use crate::program::{Bench, Run, sha256, text};
use crate::skipping::may_trace;
use bootbank::commit::{
    About, CommitError, Holds, IfDifferent, Overlay, Phase, Undo, WriteSet, run,
};
use bootbank::edit::{Context, Devices, Edit, OwnerEdit};
use bootbank::fat::Method;
use bootbank::medium::{Lba, ReadAt};
use bootbank::ownership::Owner;
use bootbank::state::{KeyCache, Limits};
use bootbank::stick::{BankChoice, Plan, Request, Settings, Stick};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

/// Bank 5 of it is full, bank 6 is not.
const FULL: &str = "esxi67-fullbank";

fn plan(medium: &dyn ReadAt, method: Method, banks: BankChoice) -> Plan {
    let keys = KeyCache::default();
    let settings = Settings {
        sector_size: None,
        limits: Limits::each(64 << 20),
        keys: &keys,
    };
    let edit = Edit::Owner(OwnerEdit {
        devices: Devices::PassedThrough,
        owner: Owner::Vmkernel,
    });
    let request = Request {
        banks,
        method,
        context: Context { time: None },
    };
    let stick = Stick::open(medium, &settings).unwrap();
    stick.plan(&[edit], request).unwrap()
}

fn undo_of(set: &WriteSet, size: usize) -> Undo {
    let undo = Undo {
        set: set.clone(),
        medium_size: size as u64,
        damaged: Default::default(),
        about: About::default(),
    };
    Undo::from_bytes(&undo.to_bytes().unwrap()).unwrap()
}

#[test]
fn a_full_bank_is_refused_until_in_place_is_allowed_and_undo_brings_back_every_byte() {
    let bench = Bench::new();
    let image = bench.made(FULL);
    let before = sha256(&image);
    let image = text(&image);

    let refused = bench.run(&["fix", "--json", image]).exits(3);
    let error = &refused.object()["error"];
    assert_eq!(error["kind"], "refused");
    assert_eq!(error["partition"], 5);
    assert!(error["hint"].as_str().unwrap().contains("--in-place"));
    assert_eq!(sha256(image.as_ref()), before);
    assert_eq!(bench.undo_files().len(), 0);

    // Off a terminal nobody can be told what is at stake, selector or not, image or not.
    for arguments in [
        &["fix", "--in-place", image][..],
        &["fix", "--in-place", "-d", "0000:00:14.0", image],
        &["fix", "--in-place", "--no-input", image],
    ] {
        let asked = bench.run(arguments).exits(2);
        asked.says("but bootbank cannot ask first").says("-y");
        assert_eq!(sha256(image.as_ref()), before);
        assert_eq!(bench.undo_files().len(), 0);
    }

    let done = bench.run(&["fix", "--in-place", "-y", "--json", image]);
    let done = done.exits(0).says("does not boot until you run");
    let object = done.object();
    assert_eq!(object["outcome"], "changed");
    assert_eq!(object["banks"][0]["partition"], 6);
    assert_eq!(object["banks"][0]["in_place"], false);
    assert_eq!(object["banks"][1]["partition"], 5);
    assert_eq!(object["banks"][1]["in_place"], true);
    let undo = object["undo"].as_str().unwrap();
    assert!(done.stderr.contains(undo));
    let after = sha256(image.as_ref());
    assert_ne!(after, before);
    bench.run(&["verify", image]).exits(0);

    let again = bench.run(&["fix", "--in-place", "--json", image]).exits(0);
    assert_eq!(again.object()["outcome"], "unchanged");
    assert_eq!(sha256(image.as_ref()), after);

    bench.run(&["undo", undo, image]).exits(0);
    assert_eq!(sha256(image.as_ref()), before);

    let alone = ["fix", "--in-place", "-y", "--bank", "5", "--json", image];
    let alone = bench.run(&alone).exits(0).object();
    assert!(warns(&alone, "If that is cut halfway"), "{alone}");
    let undo = alone["undo"].as_str().unwrap();
    bench.run(&["undo", undo, image]).exits(0);
    assert_eq!(sha256(image.as_ref()), before);
}

/// Whether a warning of a change has these words.
fn warns(object: &serde_json::Value, words: &str) -> bool {
    let mut warnings = object["warnings"].as_array().unwrap().iter();
    warnings.any(|warning| warning.as_str().unwrap().contains(words))
}

#[test]
fn a_bank_with_room_is_changed_the_safe_way_though_in_place_is_allowed() {
    let bench = Bench::new();
    let image = bench.bundled("esxi67-fresh");
    let done = bench.run(&["fix", "--in-place", "--json", text(&image)]);
    let object = done.exits(0).object();
    for bank in object["banks"].as_array().unwrap() {
        assert_eq!(bank["in_place"], false);
    }
}

#[test]
fn in_place_is_refused_without_an_undo_file_that_outlives_a_power_cut() {
    let bench = Bench::new();
    let image = bench.made(FULL);
    let before = sha256(&image);
    let image = text(&image);
    bench
        .run(&["fix", "--in-place", "-y", "--no-undo", image])
        .exits(3)
        .says("--no-undo");
    assert_eq!(sha256(image.as_ref()), before);

    let memory = bench.path("memory");
    fs::create_dir(&memory).unwrap();
    if let Some(_mounted) = Mounted::mount(&["-t", "tmpfs", "tmpfs"], &memory) {
        let undo = memory.join("deep/x.undo");
        let run = bench.run(&["fix", "--in-place", "-y", "-z", text(&undo), image]);
        run.exits(3).says("in memory").says("-z FILE");
        assert_eq!(sha256(image.as_ref()), before);
        // Where there is room a warning is enough.
        let run = bench.run(&["fix", "--bank", "6", "--json", "-z", text(&undo), image]);
        let object = run.exits(0).says("in memory").object();
        assert!(warns(&object, "a reboot deletes it"), "{object}");
        assert!(undo.exists());
    }
}

#[test]
fn in_place_on_a_copy_asks_nothing_and_needs_no_undo_file() {
    let bench = Bench::new();
    let image = bench.made(FULL);
    let before = sha256(&image);
    let copy = bench.path("copy.img");
    let arguments = [
        "fix",
        "--in-place",
        "--no-undo",
        "-o",
        text(&copy),
        text(&image),
    ];
    bench.run(&arguments).exits(0);
    assert_eq!(sha256(&image), before);
    assert_eq!(bench.undo_files().len(), 0);
    bench.run(&["verify", text(&copy)]).exits(0);
    bench.run(&["fix", "--check", text(&copy)]).exits(0);
}

#[test]
fn only_the_full_bank_is_planned_in_place() {
    let bench = Bench::new();
    let bytes = fs::read(bench.made(FULL)).unwrap();
    let plan = plan(&bytes, Method::InPlace, BankChoice::All);
    let methods: Vec<_> = plan
        .banks
        .iter()
        .map(|bank| (bank.partition, bank.method))
        .collect();
    assert_eq!(methods, [(6, Method::SecondCopy), (5, Method::InPlace)]);
    let phases = |partition| -> Vec<Phase> {
        let steps = plan.set.steps().iter();
        let here = steps.filter(|step| step.partition == partition);
        here.map(|step| step.phase).collect()
    };
    use Phase::{Allocate, Data, Overwrite, Release, Resize, Switch};
    assert_eq!(phases(6), [Data, Allocate, Switch, Release]);
    assert!(phases(5).starts_with(&[Overwrite]), "{:?}", phases(5));
    assert!(
        phases(5)
            .iter()
            .all(|phase| [Overwrite, Resize, Release].contains(phase))
    );
    // Bank 5 boots next and comes last.
    let last = plan
        .set
        .steps()
        .iter()
        .rposition(|step| step.partition == 6)
        .unwrap();
    let first = plan
        .set
        .steps()
        .iter()
        .position(|step| step.partition == 5)
        .unwrap();
    assert!(last < first);
}

/// Undoes a cut run and holds every sector that either direction may touch against the
/// original; nothing else can have changed.
fn assert_undo_restores(
    state: &[u8],
    base: &[u8],
    undo: &Undo,
    places: &BTreeSet<Lba>,
    cut: &Cut<'_>,
) {
    let back = undo
        .plan(&state, IfDifferent::Refuse)
        .unwrap_or_else(|error| panic!("{cut:?}: {error}"));
    let overlay = Overlay::new(&state, &back);
    let size = undo.set.sector_size() as usize;
    let written = back.steps().iter().flat_map(|step| step.sectors.keys());
    for lba in places.iter().chain(written) {
        let at = usize::try_from(lba.0).unwrap() * size;
        let mut now = vec![0; size];
        overlay.read_at(&mut now, at as u64).unwrap();
        assert!(now == base[at..at + size], "{cut:?}: sector {lba}");
    }
}

#[test]
fn undo_restores_every_byte_wherever_a_change_in_place_is_cut() {
    let bench = Bench::new();
    let base = fs::read(bench.made(FULL)).unwrap();
    let plan = plan(&base, Method::InPlace, BankChoice::All);
    let undo = undo_of(&plan.set, base.len());

    // The steps are what a run really does, sync by sync.
    let recorder = Recorder::new(base.clone());
    assert!(
        run(&recorder, &plan.set, &|| false)
            .unwrap()
            .unfinished
            .is_none()
    );
    let mut replayed = base.clone();
    let log = recorder.log();
    let runs: Vec<&[Event]> = log.split(|event| *event == Event::Sync).collect();
    assert_eq!(runs.len(), plan.set.steps().len() + 1, "one sync a step");
    for (run, step) in runs.iter().zip(plan.set.steps()) {
        let mut expected = replayed.clone();
        apply(&mut expected, step, plan.set.sector_size());
        for event in *run {
            let Event::Write { offset, data } = event else {
                continue;
            };
            let at = usize::try_from(*offset).unwrap();
            replayed[at..at + data.len()].copy_from_slice(data);
        }
        assert!(replayed == expected, "{:?}", step.phase);
    }

    let changed = plan.set.steps().iter().flat_map(|step| step.sectors.keys());
    let kept = plan.set.preserved().values().flat_map(BTreeMap::keys);
    let places: BTreeSet<Lba> = changed.chain(kept).copied().collect();
    let mut whole = 0;
    let states = each_state(&base, &plan.set, 10, |state, cut| {
        assert_undo_restores(state, &base, &undo, &places, cut);
        // Now and then all of it, through a real run.
        whole += 1;
        if whole % 97 == 1 {
            let medium = Recorder::new(state.to_vec());
            let back = undo.plan(&medium, IfDifferent::Refuse).unwrap();
            assert!(run(&medium, &back, &|| false).unwrap().unfinished.is_none());
            assert!(medium.bytes() == base, "{cut:?}");
        }
    });
    assert!(states > 150, "{states}");
    eprintln!("{states} states of a change in place undone");
}

#[test]
fn undoing_a_change_in_place_can_itself_be_cut_and_run_again() {
    let bench = Bench::new();
    let base = fs::read(bench.made(FULL)).unwrap();
    let plan = plan(&base, Method::InPlace, BankChoice::Partition(5));
    let undo = undo_of(&plan.set, base.len());
    let places: BTreeSet<Lba> = plan
        .set
        .steps()
        .iter()
        .flat_map(|step| step.sectors.keys())
        .copied()
        .collect();
    let mut after = base.clone();
    let mut states = 0;
    for step in plan.set.steps() {
        apply(&mut after, step, plan.set.sector_size());
        let back = undo.plan(&after, IfDifferent::Refuse).unwrap();
        states += each_state(&after, &back, 8, |state, cut| {
            assert_undo_restores(state, &base, &undo, &places, cut);
        });
    }
    assert!(states > 100, "{states}");
}

#[test]
fn a_failure_while_overwriting_says_that_the_bank_is_neither_old_nor_new() {
    let bench = Bench::new();
    let base = fs::read(bench.made(FULL)).unwrap();
    let plan = plan(&base, Method::InPlace, BankChoice::Partition(5));
    // A write that stores half of its sectors, the first of the overwriting step.
    let recorder = Recorder::new(base);
    let faulty = Faulty::new(&recorder, Counts::Writes, 0, Fault::ShortWrite);
    let error = run(&faulty, &plan.set, &|| false).unwrap_err();
    let text = error.to_string();
    let CommitError::Failed(failure) = error else {
        panic!("{text}");
    };
    assert_eq!(failure.phase, Phase::Overwrite);
    assert_eq!(failure.holds, [(5, Holds::Broken)]);
    assert!(
        text.ends_with(
            "the bank on partition 5 holds neither the old configuration nor the new one"
        ),
        "{text}"
    );
}

#[test]
fn after_a_failure_while_overwriting_the_message_names_the_command_that_brings_the_old_back() {
    let bench = Bench::new();
    let image = bench.made(FULL);
    let before = sha256(&image);
    let mut traced = Command::new("strace");
    traced
        .args(["-f", "-o", "/dev/null", "-e", "trace=fdatasync"])
        .args(["-e", "inject=fdatasync:error=EIO:when=1"])
        .arg(env!("CARGO_BIN_EXE_bootbank"))
        .args([
            "fix",
            "--in-place",
            "-y",
            "--bank",
            "5",
            "--json",
            text(&image),
        ])
        .env("XDG_STATE_HOME", bench.path("state"));
    if !may_trace() {
        return;
    }
    let run: Run = traced.output().unwrap().into();
    let undo = bench.undo_files();
    let command = format!("bootbank undo {} {}", undo[0].display(), image.display());
    let run = run.exits(5);
    let object = run.object();
    assert_eq!(object["outcome"], "partial");
    assert_eq!(object["error"]["kind"], "io");
    run.says("step 1 of 2 (overwrite) failed on partition 5: sync")
        .says("neither the old configuration nor the new one")
        .says(&command);
    bench.run(&["verify", text(&image)]).exits(4);
    bench.run(&["undo", text(&undo[0]), text(&image)]).exits(0);
    assert_eq!(sha256(&image), before);
}
