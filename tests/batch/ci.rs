//! The examples for CI, executed as far as they can be here.

use crate::run::{BOOTBANK, Place, python, repository};
use std::fs;
use std::process::{Command, Output};

const PROFILE: &str = "esxi67-usb-passthru";

fn place() -> Place {
    let place = Place::new();
    fs::create_dir(place.path().join("images")).unwrap();
    place.copy(PROFILE, "images/one.img");
    place.copy(PROFILE, "images/two.img");
    fs::copy(
        repository("scripts/ci/plan.toml"),
        place.path().join("plan.toml"),
    )
    .unwrap();
    place
}

fn make(place: &Place, arguments: &[&str]) -> Output {
    let makefile = repository("scripts/ci/Makefile");
    let made = Command::new("make")
        .arg("-f")
        .arg(makefile)
        .arg(format!("BOOTBANK={BOOTBANK}"))
        .args(arguments)
        .current_dir(place.path())
        .output();
    made.unwrap_or_else(|error| panic!("make is needed for this test: {error}"))
}

#[test]
fn the_makefile_checks_and_builds_and_has_nothing_to_do_the_second_time() {
    let place = place();
    let original = place.read("images/one.img");
    // What is checked is what was built, and not the images it was built from.
    let checked = make(&place, &["check", "PATCHED=images/one.img"]);
    assert!(!checked.status.success(), "it differs from the plan");
    let checked = make(&place, &["check"]);
    let errors = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{errors}");
    let made = make(&place, &[]);
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let first = place.read("out/one.img.zst");
    assert_eq!(first, place.read("out/two.img.zst"));
    assert!(
        make(&place, &["-q"]).status.success(),
        "there is more to make"
    );
    assert!(make(&place, &["verify"]).status.success());
    assert!(make(&place, &["clean", "all"]).status.success());
    assert_eq!(first, place.read("out/one.img.zst"));
    assert_eq!(original, place.read("images/one.img"));
}

/// Prints the commands of a workflow's jobs, each step on its own, `;;` behind each. What is done before every job
/// (`default`, of GitLab) comes first.
const SCRIPTS: &str = "
import sys, yaml
jobs = yaml.safe_load(open(sys.argv[1]))
jobs = jobs.get('jobs', jobs)
for name, job in jobs.items():
    if not isinstance(job, dict): continue
    steps = [step.get('run') for step in job.get('steps', [])] + [job.get('before_script'), job.get('script')]
    for step in steps:
        lines = step if isinstance(step, list) else [step]
        print('\\n'.join(line for line in lines if line) + '\\n;;')
";

fn scripts_of(file: &str) -> Vec<String> {
    let parsed = Command::new(python())
        .args(["-c", SCRIPTS])
        .arg(repository(file))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&parsed.stderr);
    assert!(parsed.status.success(), "{errors}");
    let scripts = String::from_utf8(parsed.stdout).unwrap();
    let scripts = scripts.split(";;").filter(|it| it.contains("bootbank"));
    scripts.map(str::to_owned).collect()
}

/// A release as a directory: the program under the name it is handed out by, and its checksum.
fn release(place: &Place) -> String {
    let directory = place.path().join("release");
    fs::create_dir(&directory).unwrap();
    let program = format!("#!/bin/sh\nexec {BOOTBANK} \"$@\"\n");
    fs::write(directory.join("bootbank-1.2.3-linux-x86_64"), program).unwrap();
    let sums = "sha256sum bootbank-* >SHA256SUMS; echo 0 other >>SHA256SUMS";
    let summed = Command::new("sh")
        .args(["-c", sums])
        .current_dir(&directory)
        .status();
    assert!(summed.unwrap().success());
    format!("file://{}", directory.display())
}

#[test]
fn the_scripts_in_the_workflows_install_a_release_and_do_what_they_are_for() {
    for file in ["scripts/ci/github-actions.yml", "scripts/ci/gitlab-ci.yml"] {
        let place = place();
        let release = release(&place);
        let path = format!(
            "{}:{}",
            place.path().join(".local/bin").display(),
            std::env::var("PATH").unwrap()
        );
        let mut checked = 0;
        for script in scripts_of(file) {
            let done = Command::new("bash")
                .args(["-ec", &script])
                .current_dir(place.path())
                .env("PATH", &path)
                .env("HOME", place.path())
                .env("GITHUB_PATH", place.path().join("path"))
                .env("BOOTBANK_VERSION", "1.2.3")
                .env("BOOTBANK_RELEASE", &release)
                .output()
                .unwrap();
            let errors = String::from_utf8_lossy(&done.stderr);
            assert_eq!(done.status.code(), Some(0), "{script}: {errors}");
            checked += 1;
        }
        assert!(checked >= 3, "{file}");
        assert!(
            place.path().join(".local/bin/bootbank").is_file(),
            "{file}: it came from the release"
        );
        assert!(place.path().join("out/two.img").is_file(), "{file}");
        let report = fs::read_to_string(place.path().join("report.jsonl")).unwrap();
        assert_eq!(
            report.matches("\"outcome\":\"changed\"").count(),
            2,
            "{report}"
        );
    }
}
