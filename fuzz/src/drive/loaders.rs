//! The model of the loader and the strict reader over one medium.

use super::super::repair;
use super::Sparse;
use bootbank::bank::{Bank, Probed};
use bootbank::fat::Volume;
use bootbank::loader::{
    BankContent, BankInput, BootCfg, ContentVerdict, Depth, FileAt, Generation, Ignored, Loader,
    ModuleVerdict, Role, UnpackLimit, check_content, choose, generation_of, warnings_about,
};
use bootbank::medium::ReadAt;
use bootbank::partition::PartitionTable;
use std::io::Read as _;

/// Room for a FAT16 volume behind the input.
const SIZE: u64 = 8 << 20;
/// Most bytes of a file that is compared.
const LIMIT: u64 = 1 << 20;

/// First byte: 1 sectors of 4096 bytes, else of 512. Then the medium, with zeros behind it.
///
/// Whatever both readers accept they read alike: content of files, boot.cfg, and with that the
/// choice of the bank. What the strict one can read, the loader can.
pub fn loader(data: &[u8]) -> bool {
    let Some((&how, head)) = data.split_first() else {
        return false;
    };
    let sector_size = if how & 1 == 1 { 4096 } else { 512 };
    let mut head = head.to_vec();
    repair::gpt(&mut head, sector_size);
    let medium = Sparse {
        head: &head,
        size: SIZE,
    };
    let Ok(table) = PartitionTable::read(&medium, u32::try_from(sector_size).ok()) else {
        return false;
    };
    let loader = Loader::new(&medium, &table);
    judge_all(&loader, &table);
    let mut banks = Some(Vec::new());
    let mut compared = 0;
    for partition in table.bank_candidates() {
        let number = partition.number;
        let range = partition.byte_range(table.sector_size);
        let probed = range.filter(|_| table.fault_of(number).is_none());
        let probed = probed.map(|range| Bank::probe(&medium, range, table.sector_size));
        match probed {
            Some(Ok(Probed::Bank(bank))) => {
                compared += compare_files(&medium, &loader, number, bank.volume());
                compare_boots(&medium, &loader, number, &bank);
                let state = bank.find("state.tgz");
                match (state, &mut banks) {
                    (Ok(state), Some(banks)) => {
                        let cfg = Some(bank.boot_cfg().clone());
                        banks.push((number, cfg, state.is_some()));
                    }
                    // A name that the strict reader objects to.
                    _ => banks = None,
                }
            }
            Some(Ok(Probed::Volume(volume))) => {
                compared += compare_files(&medium, &loader, number, &volume);
                if let Some(banks) = &mut banks {
                    banks.push((number, None, false));
                }
            }
            Some(Ok(Probed::Unmarked | Probed::Other)) => {}
            // What the strict reader refuses may be anything to the loader.
            Some(Err(_)) | None => banks = None,
        }
    }
    compared > 0 && banks.is_some_and(|banks| compare_choices(&loader, banks))
}

/// The verdicts agree with each other, for each generation.
fn judge_all(loader: &Loader<'_>, table: &PartitionTable) {
    let judgement = loader.judge(Depth::Content);
    let chosen = judgement.choice.chosen.bank();
    assert_eq!(judgement.boot.as_ref().map(|boot| boot.partition), chosen);
    for generation in Generation::ALL {
        let choice = loader.choice_of(generation);
        let next: Vec<u32> = choice
            .banks
            .iter()
            .filter(|it| it.boots_next)
            .map(|it| it.partition)
            .collect();
        assert_eq!(next, Vec::from_iter(choice.chosen.bank()));
        for partition in table.bank_candidates() {
            let boot = loader.boot_as(partition.number, Depth::Presence, generation);
            let _ = boot.notes();
            assert!(
                boot.boots() != Some(true) || boot.kernel().is_some(),
                "boots without a kernel"
            );
        }
    }
}

/// The content of every file that the strict reader can read; how many there are.
fn compare_files(
    medium: &dyn ReadAt,
    loader: &Loader<'_>,
    partition: u32,
    volume: &Volume<'_>,
) -> usize {
    let mut compared = 0;
    for entry in volume.files() {
        let name = entry.name();
        let Ok(Some(found)) = volume.find(&name) else {
            continue;
        };
        let Ok(strict) = volume.read_file(&found, LIMIT) else {
            continue;
        };
        let Some(file) = loader.find(partition, &name) else {
            panic!("{name} is read strictly, and not by the loader");
        };
        assert!(
            strict == read_whole(medium, &file),
            "{name} is read differently"
        );
        compared += 1;
    }
    compared
}

fn read_whole(medium: &dyn ReadAt, file: &FileAt) -> Vec<u8> {
    let mut bytes = Vec::new();
    for run in file.runs() {
        let mut part = vec![0; (run.end - run.start) as usize];
        medium
            .read_at(&mut part, run.start)
            .expect("a run that was followed");
        bytes.extend(part);
    }
    bytes.truncate(file.size as usize);
    bytes
}

/// boot.cfg, and what it names.
fn compare_boots(medium: &dyn ReadAt, loader: &Loader<'_>, partition: u32, bank: &Bank<'_>) {
    let cfg = loader
        .boot_cfg(partition)
        .expect("a boot.cfg that is read strictly");
    assert!(
        cfg.raw() == bank.boot_cfg().raw(),
        "boot.cfg is read differently"
    );
    let boot = loader.boot(partition, Depth::Presence);
    for verdict in &boot.files {
        let Some(file) = &verdict.file else { continue };
        let Ok(Some(entry)) = bank.find(&file.name) else {
            continue;
        };
        if let Ok(strict) = bank.volume().read_file(&entry, LIMIT) {
            compare_content(medium, verdict, &strict);
        }
    }
}

/// A file that is one gzip member from end to end unpacks to the same length for the loader.
fn compare_content(medium: &dyn ReadAt, verdict: &ModuleVerdict, strict: &[u8]) {
    let Some(file) = verdict
        .to_check()
        .filter(|_| verdict.role != Role::AcpiTable)
    else {
        return;
    };
    let mut unpacked = Vec::new();
    let mut member = flate2::bufread::GzDecoder::new(strict);
    let whole = member
        .by_ref()
        .take(LIMIT + 1)
        .read_to_end(&mut unpacked)
        .is_ok();
    let trailed = !member.into_inner().is_empty();
    for generation in Generation::ALL {
        let content = check_content(medium, file, generation, &UnpackLimit::default());
        match content {
            ContentVerdict::AsItIs => {}
            ContentVerdict::Unpacked { len } if whole && !trailed => {
                assert_eq!(
                    len,
                    unpacked.len() as u64,
                    "{} unpacks differently",
                    file.name
                );
            }
            ContentVerdict::Damaged(fault) if whole && !trailed && !unpacked.is_empty() => {
                panic!("{}: {fault}, and another reader unpacks it", file.name);
            }
            _ => {}
        }
    }
}

/// The choice by what the strict reader saw, where it saw all: boot.cfg and whether there is a state.
fn compare_choices(loader: &Loader<'_>, banks: Vec<(u32, Option<BootCfg>, bool)>) -> bool {
    let without = Ignored::NoBootCfg;
    let inputs = banks.iter().map(|(partition, cfg, has_state)| BankInput {
        partition: *partition,
        met: cfg
            .as_ref()
            .map_or(BankContent::Ignored(&without), BankContent::BootCfg),
        has_state: *has_state,
    });
    let mut inputs: Vec<BankInput<'_>> = inputs.collect();
    inputs.sort_by_key(|input| input.partition);
    assert_eq!(loader.generation(), generation_of(&inputs));
    for generation in Generation::ALL {
        let (mine, theirs) = (choose(generation, &inputs), loader.choice_of(generation));
        assert_eq!(
            mine.chosen, theirs.chosen,
            "{generation:?} chooses differently"
        );
    }
    let choice = loader.choice();
    assert_eq!(warnings_about(&choice, &inputs), loader.warnings());
    choice.chosen.bank().is_some()
}
