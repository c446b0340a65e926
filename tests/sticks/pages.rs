//! README and the pages in docs/ say what is so: their commands run, their links lead somewhere, the messages and numbers
//! they quote are those of the program and of the tests, and the picture is what the program shows.
//!
//! A command in a block of the language `sh` is run here, by a shell, as a reader would; `shell` is for what only another
//! machine can run.

use super::images::{bundled, bundled_names, manifest, profile, run};
use super::program::{Bench, Ran, ran};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PAGES: [&str; 6] = [
    "README.md",
    "docs/library.md",
    "docs/recipes.md",
    "docs/releases.md",
    "docs/supported.md",
    "docs/troubleshooting.md",
];

/// Sections about another stick than `esxi70u1-both`: its image, and what was done to it before.
const STICKS: [(&str, &str, &str); 5] = [
    (
        "A device was passed through by mistake",
        "esxi67-usb-passthru",
        "true",
    ),
    (
        "A device that the host itself needs",
        "esxi67-usb-passthru",
        "bootbank fix stick.img",
    ),
    (
        "A state sealed by a TPM",
        "esxi702-sealed",
        "bootbank bank copy 5 6 stick.img",
    ),
    ("Back to the other bank", "esxi67-usb-passthru", "true"),
    ("It does not boot", "esxi67-usb-passthru", "true"),
];

/// Commands that end with another exit code than 0, as their pages say, and a part of what they say then.
const OTHER_CODES: [(&str, i32, &str); 8] = [
    ("fix --check", 1, "would change"),
    ("bootbank diff", 1, ""),
    (
        "--boot-device",
        3,
        "run this from a live system on the host",
    ),
    ("-e true", 2, "-y"),
    ("-g vmkernel -k options", 3, "schema-store"),
    ("--ntp", 3, "holds none to go by"),
    ("store get stick.img -c esx -g authentication", 2, "no row"),
    (
        "store set stick.img -c esx -g authentication",
        2,
        "not JSON",
    ),
];

fn page(name: &str) -> String {
    fs::read_to_string(manifest(name)).unwrap()
}

/// The commands of a page by section, and the languages of its blocks.
fn commands(name: &str) -> (Vec<(String, Vec<String>)>, Vec<String>) {
    let mut sections = vec![(String::new(), Vec::new())];
    let mut languages = Vec::new();
    let mut block = None;
    for line in page(name).lines() {
        let fence = line.strip_prefix("```");
        match (fence, &block, line.strip_prefix("## ")) {
            (Some(language), None, _) => {
                languages.push(language.to_owned());
                block = Some(language.to_owned());
            }
            (Some(_), Some(_), _) => block = None,
            (None, None, Some(title)) => sections.push((title.to_owned(), Vec::new())),
            (None, Some(language), _) if language == "sh" && !line.is_empty() => {
                sections.last_mut().unwrap().1.push(line.to_owned());
            }
            _ => {}
        }
    }
    (sections, languages)
}

/// What a reader of a section has at hand.
fn bench_for(section: &str) -> Bench {
    let bench = Bench::new();
    let here = |name: &str| bench.file(name);
    for directory in ["bin", "images", "out", ".ssh"] {
        fs::create_dir(here(directory)).unwrap();
    }
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_bootbank"), here("bin/bootbank")).unwrap();
    std::os::unix::fs::symlink(manifest("testimages"), here("testimages")).unwrap();
    let special = STICKS.iter().find(|it| section.starts_with(it.0));
    let (_, name, before) = special.unwrap_or(&("", "esxi70u1-both", "true"));
    if *name == "esxi702-sealed" {
        let image = profile(name);
        image.copy_to(bench.path());
        let key = &image.truth["banks"][0]["states"][0]["recovery_key"];
        fs::write(here("key.txt"), key.as_str().unwrap()).unwrap();
    } else {
        fs::rename(bundled(name, bench.path()), here("stick.img")).unwrap();
    }
    fs::copy(here("stick.img"), here("before.img")).unwrap();
    fs::rename(
        bundled("esxi67-fresh", bench.path()),
        here("images/one.img"),
    )
    .unwrap();
    fs::copy(here("images/one.img"), here("images/two.img")).unwrap();
    fs::write(here("plan.toml"), "[host]\nname = \"{name}\"\n").unwrap();
    fs::write(
        here("hosts.csv"),
        "image,name\none.img,esx1\ntwo.img,esx2\n",
    )
    .unwrap();
    let key =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJvb3RiYW5rYm9vdGJhbmtib290YmFua2Jvb3RiYW5r ci@lab\n";
    fs::write(here(".ssh/id_ed25519.pub"), key).unwrap();
    let summed = shell(
        &bench,
        "sha256sum stick.img >SHA256SUMS; echo 0 other >>SHA256SUMS",
    );
    assert_eq!(summed.code, 0);
    let prepared = shell(&bench, before);
    assert_eq!(prepared.code, 0, "{before}: {}", prepared.stderr);
    bench
}

/// Runs a line as a reader would, without a terminal; a stick is an image here. What is asked for is a password.
fn shell(bench: &Bench, line: &str) -> Ran {
    let line = line.replace("/dev/sdX", "stick.img");
    let line = line.replace("cargo run --release --", "bootbank");
    let path = std::env::var("PATH").unwrap();
    let typed = bench.file("typed");
    fs::write(&typed, "secret\nsecret\n").unwrap();
    ran(Command::new("setsid")
        .args(["--wait", "bash", "-o", "pipefail", "-c", &line])
        .stdin(fs::File::open(typed).unwrap())
        .current_dir(bench.path())
        .env("HOME", bench.path())
        .env_remove("XDG_STATE_HOME")
        .env("PATH", format!("{}:{path}", bench.file("bin").display())))
}

#[test]
fn the_first_command_fixes_a_bundled_image_and_the_second_runs_the_tests() {
    let (sections, _) = commands("README.md");
    let (_, first) = &sections[0];
    assert_eq!(first[1..], ["scripts/test.sh"]);
    let bench = bench_for("");
    let fixed = shell(&bench, &first[0]);
    assert_eq!(fixed.code, 0, "{}", fixed.stderr);
    assert_eq!(shell(&bench, "bootbank fix --check fixed.img").code, 0);
    assert!(bench.file("fixed.img").metadata().unwrap().len() > 1 << 20);
}

#[test]
fn every_command_of_every_page_does_what_the_page_says() {
    let mut count = 0;
    for page in PAGES {
        let (sections, languages) = commands(page);
        assert!(
            languages.iter().all(|it| !it.is_empty()),
            "{page}: a block without a language"
        );
        for (section, lines) in sections {
            if lines.is_empty() || section.is_empty() {
                continue;
            }
            let bench = bench_for(&section);
            for line in lines {
                let other = OTHER_CODES.iter().find(|it| line.contains(it.0));
                let (_, code, said) = other.unwrap_or(&("", 0, ""));
                let ran = shell(&bench, &line);
                assert_eq!(ran.code, *code, "{page}, {section}: {line}: {}", ran.stderr);
                assert!(ran.stderr.contains(said), "{page}: {line}: {}", ran.stderr);
                count += 1;
            }
        }
    }
    assert!(count > 50, "only {count} commands");
}

/// Every page there is, with the directory its links start from.
fn all_pages() -> Vec<PathBuf> {
    let listed = run(Command::new("find").arg(manifest(".")).args([
        "(", "-name", "target", "-o", "-name", ".git", ")", "-prune", "-o", "-name", "*.md",
        "-print",
    ]));
    let listed = String::from_utf8(listed).unwrap();
    listed.lines().map(PathBuf::from).collect()
}

/// The anchors of a page's headings, as GitHub and mdBook make them.
fn anchors(page: &Path) -> Vec<String> {
    let text = fs::read_to_string(page).unwrap();
    let headings = text.lines().filter_map(|line| line.strip_prefix('#'));
    let named = headings.map(|heading| {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading
            .chars()
            .filter(|it| it.is_alphanumeric() || " -_".contains(*it));
        kept.map(|it| if it == ' ' { '-' } else { it }).collect()
    });
    named.collect()
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_in_it() {
    let pages = all_pages();
    assert!(pages.len() > 12, "{pages:?}");
    let mut count = 0;
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1) {
            let link = link.split([')', ' ']).next().unwrap();
            if link.starts_with("http") || link.is_empty() {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            assert!(target.exists(), "{}: {link}", page.display());
            assert!(
                anchor.is_empty() || anchors(&target).iter().any(|it| it == anchor),
                "{}: no heading #{anchor} in {file}",
                page.display()
            );
            count += 1;
        }
    }
    assert!(count > 30, "only {count} links");
}

/// All source text, with strings that go over several lines put together.
fn sources() -> String {
    let text = run(Command::new("find")
        .arg(manifest("src"))
        .args(["-name", "*.rs", "-exec", "cat", "{}", "+"]));
    let text = String::from_utf8(text).unwrap();
    let mut parts = text.split("\\\n");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |text, part| text + part.trim_start())
}

#[test]
fn the_messages_in_troubleshooting_are_those_of_the_program() {
    let sources = sources();
    let text = page("docs/troubleshooting.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    let messages: Vec<&str> = rows.map(|row| row.split('`').next().unwrap()).collect();
    assert!(messages.len() > 15);
    for message in messages {
        assert!(sources.contains(message), "no message says `{message}`");
    }
}

/// The numbers in some columns of the tables of a page whose header begins with `header`, added up; of runs in place,
/// which promise less, none.
fn sum(name: &str, header: &str, columns: &[usize]) -> u64 {
    let text = page(name);
    let mut total = 0;
    let mut inside = false;
    for line in text.lines() {
        inside = line.starts_with(header) || inside && line.starts_with('|');
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let is_row = inside && !line.starts_with(header) && !line.starts_with("|--");
        if is_row && !cells[1].contains("--in-place") {
            let numbers = columns.iter().map(|it| cells[*it].replace(',', ""));
            total += numbers.map(|it| it.parse::<u64>().unwrap()).sum::<u64>();
        }
    }
    total
}

fn with_commas(number: u64) -> String {
    match number / 1000 {
        0 => number.to_string(),
        thousands => format!("{},{:03}", with_commas(thousands), number % 1000),
    }
}

#[test]
fn the_numbers_in_readme_are_those_of_the_evidence() {
    let readme = page("README.md");
    let states = sum("docs/crash-safety.md", "| run | steps | states |", &[3]);
    assert!(
        readme.contains(&format!("[{} states]", with_commas(states))),
        "{states} states"
    );
    let later = (4..=14).map(|nth| format!("| {nth}th round |"));
    let later = later.map(|header| sum("fuzz/README.md", &header, &[2]));
    let inputs = sum("fuzz/README.md", "| target | inputs", &[2, 3])
        + sum("fuzz/README.md", "| target | minutes", &[3])
        + later.sum::<u64>();
    let inputs = format!("[{} million inputs]", inputs / 1_000_000);
    assert!(readme.contains(&inputs), "{inputs}");
    assert!(readme.contains("Only `--in-place`"), "which promises less");
    let safety = page("docs/crash-safety.md");
    for (theirs, ours) in [
        ("disks: 43 cases", "43 cases on a real kernel"),
        (
            "| `mcopy -o`, any subset | 128 | 122 |",
            "122 of 128 states",
        ),
        (
            "| bootbank, any subset since the last sync | 187 | 0 |",
            "0 of 187 states",
        ),
    ] {
        assert!(safety.contains(theirs) && readme.contains(ours), "{theirs}");
    }
    let scripts = ["disks", "faults", "holders", "mounts", "pulled"];
    let scripts = scripts.map(|name| page(&format!("scripts/vm/cases-{name}.sh")));
    let lines = scripts.iter().flat_map(|script| script.lines());
    // And that of kill.sh.
    let cases = lines.filter(|line| line.starts_with("case_")).count() + 1;
    assert!(
        readme.contains(&format!("{cases} cases on a real kernel")),
        "{cases}"
    );
    assert!(page("docs/loader.md").contains("(55,000 comparisons)"));
    assert!(readme.contains("in 55,000 cases"));
    let rust = page("Cargo.toml");
    let rust = rust
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "))
        .unwrap();
    let rust = rust.trim_matches('"');
    for name in ["README.md", "docs/library.md"] {
        assert!(
            page(name).contains(&format!("Rust {rust} or newer")),
            "{name}"
        );
    }
}

/// After a change of what `scan` or `fix` say: `scripts/make-picture`.
#[test]
fn the_picture_is_what_the_program_shows() {
    let python = std::env::var("BOOTBANK_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    run(Command::new(python)
        .arg(manifest("scripts/make-picture"))
        .args(["--check", env!("CARGO_BIN_EXE_bootbank")]));
}

#[test]
fn every_bundled_image_is_in_the_index() {
    let index = page("testimages/INDEX.md");
    for name in bundled_names() {
        assert!(index.contains(&format!("`{name}.img.gz`")), "{name}");
    }
}
