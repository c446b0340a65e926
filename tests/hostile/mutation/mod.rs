//! Seeded edits in the metadata of every profile's image, driven through the library.
//!
//! Each case changes one thing or a few (a table, a boot sector, the FATs, a directory, a boot.cfg, a
//! layer of a state) and makes the checksums above right again. Then the medium is checked and a
//! fix planned. Claims: no panic; reads and memory bounded, counted and not timed; a plan that is
//! refused leaves nothing written; one that is accepted gives, once carried out, an image that
//! reads back, wants nothing more, and that fsck.fat and mtools agree about (for a sample).
//!
//! The same seeds each time. `BOOTBANK_LONG=1` tries twenty times as many,
//! `BOOTBANK_CASE=PROFILE:CASE` the one that was a find.

mod edits;
mod layout;

use self::edits::{Random, mutate, spoil};
use self::layout::{Bank, Image};
use super::images::{output, profiles};
use super::memory::{Medium, peak_of};
use super::repair;
use bootbank::commit::{About, IfDifferent, Undo, run};
use bootbank::diagnosis::{CheckOptions, check};
use bootbank::edit::{Context, Devices, Edit, OwnerEdit};
use bootbank::fat::Method;
use bootbank::ownership::Owner;
use bootbank::state::{KeyCache, Limits};
use bootbank::stick::{BankChoice, Plan, Request, Settings, Stick};
use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Cases for each profile.
const CASES: u64 = 90;
/// Of the accepted plans one in so many is judged by fsck.fat and mtools.
const JUDGED: u64 = 25;
/// What opening, checking and planning may read: a small image has at most 24 MiB, and what is
/// read twice is little. The most that was met is 1.6 MB.
const MOST_READ: u64 = 16 << 20;
/// What a thread may hold meanwhile. The most that was met is 1.9 MB.
const MOST_MEMORY: u64 = 24 << 20;
const LIMITS: Limits = Limits::each(4 << 20);

fn fix() -> [Edit; 1] {
    [Edit::Owner(OwnerEdit {
        devices: Devices::PassedThrough,
        owner: Owner::Vmkernel,
    })]
}

const REQUEST: Request = Request {
    banks: BankChoice::All,
    method: Method::SecondCopy,
    context: Context {
        time: Some(1_700_000_000),
    },
};

/// What the cases came to.
#[derive(Default)]
struct Tally {
    cases: AtomicUsize,
    accepted: AtomicUsize,
    judged: AtomicUsize,
    messages: Mutex<BTreeSet<String>>,
    most: Mutex<(u64, u64)>,
    finds: Mutex<Vec<String>>,
}

/// One case: everything but the panic is judged here.
fn try_case(image: &Image, case: u64, keys: &KeyCache, tally: &Tally) -> Result<(), String> {
    let seed = image.profile.bytes().fold(case, |sum, byte| {
        sum.wrapping_mul(257).wrapping_add(byte.into())
    });
    let mut random = Random(seed);
    let medium = Medium::new(&image.bytes);
    let mut what = mutate(&mut random, image, &medium);
    if random.below(5) == 0 {
        what = mutate(&mut random, image, &medium);
    }
    let settings = Settings {
        sector_size: None,
        limits: LIMITS,
        keys,
    };
    let driven = catch_unwind(AssertUnwindSafe(|| {
        peak_of(|| {
            let options = CheckOptions {
                banks: BankChoice::All,
                contents: None,
            };
            let findings = check(&medium, &settings, options);
            let plan = Stick::open(&medium, &settings).and_then(|stick| {
                let _ = stick.plan_reclaim(REQUEST);
                stick.plan(&fix(), REQUEST)
            });
            (findings, plan)
        })
    }));
    let Ok(((findings, plan), memory)) = driven else {
        return Err(format!("{what}: panicked"));
    };
    let read = medium.bytes_read.get();
    {
        let mut most = tally.most.lock().unwrap();
        *most = (most.0.max(read), most.1.max(memory));
    }
    if medium.writes.get() != 0 || read > MOST_READ || memory > MOST_MEMORY {
        return Err(format!("{what}: {read} bytes read, {memory} bytes held"));
    }
    let mut messages = tally.messages.lock().unwrap();
    messages.extend(
        findings
            .iter()
            .map(|finding| kind_of(&finding.cause.to_string())),
    );
    drop(messages);
    match plan {
        Ok(plan) if !plan.is_empty() => {
            let nth = tally.accepted.fetch_add(1, Ordering::Relaxed) as u64;
            carry_out(
                image,
                &medium,
                &plan,
                settings,
                nth.is_multiple_of(JUDGED),
                tally,
            )
            .map_err(|error| format!("{what}: {error}"))
        }
        _ => Ok(()),
    }
}

/// A message without its numbers: what kind of finding it is.
fn kind_of(message: &str) -> String {
    message
        .chars()
        .filter(|c| !c.is_ascii_digit())
        .take(80)
        .collect()
}

/// Carries out an accepted plan and looks at what it leaves.
fn carry_out(
    image: &Image,
    medium: &Medium<'_>,
    plan: &Plan,
    settings: Settings<'_>,
    judged: bool,
    tally: &Tally,
) -> Result<(), String> {
    let clean: Vec<bool> = image
        .banks
        .iter()
        .map(|bank| judged && fsck(medium, bank) && mtools_takes(medium, bank))
        .collect();
    let done = run(medium, &plan.set, &|| false).map_err(|error| error.to_string())?;
    assert!(done.unfinished.is_none());
    let after = Stick::open(medium, &settings).map_err(|error| format!("afterwards: {error}"))?;
    let again = after
        .plan(&fix(), REQUEST)
        .map_err(|error| format!("afterwards: {error}"))?;
    if !again.is_empty() {
        return Err("the same fix wants something again".to_owned());
    }
    for (bank, clean) in image.banks.iter().zip(clean).filter(|(_, clean)| *clean) {
        if !fsck(medium, bank) {
            return Err("fsck.fat finds damage that was not there before".to_owned());
        }
        for file in bank.states.iter().filter(|_| clean) {
            // A bank whose mark was spoiled is none any more, and no plan is made for it.
            let mut here = plan
                .banks
                .iter()
                .filter(|it| it.partition == bank.partition);
            let Some(here) = here.next() else {
                continue;
            };
            // Nor for a file whose entry was spoiled so that it is no state file any more.
            let Some(planned) = here.files.iter().find(|it| it.file == file.name) else {
                continue;
            };
            let seen = mtype(medium, bank, &file.name);
            if planned.content.as_ref().is_some_and(|it| *it != seen) {
                return Err(format!("mtools reads another {}", file.name));
            }
        }
        tally.judged.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

fn volume_file(medium: &Medium<'_>, bank: &Bank) -> tempfile::NamedTempFile {
    let len = bank.data - bank.at + bank.clusters * bank.cluster;
    let len = len
        .next_multiple_of(1 << 16)
        .min(medium.get_len() - bank.at);
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), medium.get(bank.at, len)).unwrap();
    file
}

fn fsck(medium: &Medium<'_>, bank: &Bank) -> bool {
    let volume = volume_file(medium, bank);
    output(Command::new("fsck.fat").arg("-n").arg(volume.path()))
        .status
        .success()
}

/// Whether mtools has no objection to the volume: it asks for a geometry of heads and sectors that
/// nothing else looks at, and who refuses a volume as it is does not judge what becomes of it.
fn mtools_takes(medium: &Medium<'_>, bank: &Bank) -> bool {
    let volume = volume_file(medium, bank);
    let mut mdir = Command::new("mdir");
    output(mdir.arg("-i").arg(volume.path()).arg("::/"))
        .status
        .success()
}

fn mtype(medium: &Medium<'_>, bank: &Bank, name: &str) -> Vec<u8> {
    let volume = volume_file(medium, bank);
    let mut mtype = Command::new("mtype");
    output(mtype.arg("-i").arg(volume.path()).arg(format!("::/{name}"))).stdout
}

/// The cases of a profile: all, or with `BOOTBANK_CASE=esxi67-gpt:12` that one.
fn chosen(profile: &str) -> Range<u64> {
    let Ok(asked) = std::env::var("BOOTBANK_CASE") else {
        return 0..cases();
    };
    let case = asked
        .strip_prefix(profile)
        .and_then(|rest| rest.strip_prefix(':'));
    let case = case.and_then(|case| case.parse().ok());
    case.map_or(0..0, |case: u64| case..case + 1)
}

fn cases() -> u64 {
    if std::env::var_os("BOOTBANK_LONG").is_some() {
        CASES * 20
    } else {
        CASES
    }
}

#[test]
fn no_edit_of_the_metadata_makes_the_program_panic_read_without_end_or_write_what_is_not_sound() {
    let profiles = profiles();
    let next = AtomicUsize::new(0);
    let tally = Tally::default();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(profile) = profiles.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let image = Image::load(profile);
                    let keys = KeyCache::new();
                    for case in chosen(profile) {
                        tally.cases.fetch_add(1, Ordering::Relaxed);
                        if let Err(error) = try_case(&image, case, &keys, &tally) {
                            let find = format!("{profile}, case {case}: {error}");
                            tally.finds.lock().unwrap().push(find);
                        }
                    }
                }
            });
        }
    });
    let (read, memory) = *tally.most.lock().unwrap();
    let kinds = tally.messages.lock().unwrap().len();
    let (cases, accepted) = (tally.cases.into_inner(), tally.accepted.into_inner());
    let judged = tally.judged.into_inner();
    println!(
        "{cases} cases, {accepted} plans carried out, {judged} volumes judged by fsck.fat and mtools, \
         {kinds} kinds of finding; at most {read} bytes read and {memory} held"
    );
    let finds = tally.finds.into_inner().unwrap();
    assert!(finds.is_empty(), "{} finds:\n{finds:#?}", finds.len());
    if std::env::var_os("BOOTBANK_CASE").is_some() {
        return;
    }
    assert!(cases > 2000 && kinds > 60, "the edits do not reach enough");
    assert!(
        accepted * 10 > cases && accepted * 10 < cases * 9,
        "nearly all plans or nearly none"
    );
}

#[test]
fn no_edit_of_an_undo_file_makes_the_program_panic_or_plan_outside_its_ranges() {
    let image = Image::load("esxi67-usb-passthru");
    let keys = KeyCache::new();
    let settings = Settings {
        sector_size: None,
        limits: LIMITS,
        keys: &keys,
    };
    let medium = Medium::new(&image.bytes);
    let stick = Stick::open(&medium, &settings).unwrap();
    let plan = stick.plan(&fix(), REQUEST).unwrap();
    let about = About {
        target: Some("stick.img".into()),
        ..About::default()
    };
    let medium_size = image.bytes.len() as u64;
    let sound = Undo {
        set: plan.set.clone(),
        medium_size,
        damaged: Default::default(),
        about,
    }
    .to_bytes()
    .unwrap();
    assert!(
        run(&medium, &plan.set, &|| false)
            .unwrap()
            .unfinished
            .is_none()
    );
    drop(stick);
    let mut planned = 0;
    for case in 0..cases() * 4 {
        let mut random = Random(case);
        let mut file = sound.clone();
        // The manifest comes first; it is where the lies are worth telling.
        let manifest = 0..4096.min(file.len());
        let all = 0..file.len();
        let place = if random.below(4) == 0 { all } else { manifest };
        spoil(&mut random, &mut file, &place);
        let different = [IfDifferent::Overwrite, IfDifferent::Refuse][random.below(2)];
        let driven = catch_unwind(AssertUnwindSafe(|| {
            peak_of(|| {
                let undo = Undo::from_bytes(&repair::undo(&file)).ok()?;
                let set = undo.plan(&medium, different).ok()?;
                let allowed = undo.set.allowed().to_vec();
                let mut lbas = set.steps().iter().flat_map(|step| step.sectors.keys());
                Some(lbas.all(|lba| allowed.iter().any(|range| range.contains(lba))))
            })
        }));
        let (inside, memory) = driven.unwrap_or_else(|_| panic!("case {case} panicked"));
        assert!(
            inside != Some(false),
            "case {case} plans outside its ranges"
        );
        assert!(memory < MOST_MEMORY, "case {case} held {memory} bytes");
        planned += u32::from(inside.is_some());
    }
    assert!(
        planned > 50,
        "only {planned} of the undo files get as far as a plan"
    );
}
