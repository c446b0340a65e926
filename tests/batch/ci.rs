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
    assert!(
        !make(&place, &["check"]).status.success(),
        "the images differ from the plan"
    );
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

/// Prints every script of a workflow's jobs, one after the other, `;;` between them.
const SCRIPTS: &str = "
import sys, yaml
jobs = yaml.safe_load(open(sys.argv[1]))
jobs = jobs.get('jobs', jobs)
for name, job in jobs.items():
    if not isinstance(job, dict): continue
    steps = [step.get('run') for step in job.get('steps', [])] + [job.get('script')]
    for step in steps:
        lines = step if isinstance(step, list) else [step]
        print('\\n'.join(line for line in lines if line) + '\\n;;')
";

#[test]
fn the_scripts_in_the_workflows_do_what_they_are_for() {
    for file in ["scripts/ci/github-actions.yml", "scripts/ci/gitlab-ci.yml"] {
        let parsed = Command::new(python())
            .args(["-c", SCRIPTS])
            .arg(repository(file))
            .output()
            .unwrap();
        assert!(
            parsed.status.success(),
            "{}",
            String::from_utf8_lossy(&parsed.stderr)
        );
        let scripts = String::from_utf8(parsed.stdout).unwrap();
        let scripts: Vec<&str> = scripts
            .split(";;")
            .filter(|script| script.contains("bootbank "))
            .collect();
        let place = place();
        let directory = std::path::Path::new(BOOTBANK).parent().unwrap();
        let path = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap());
        let mut checked = 0;
        for script in scripts
            .iter()
            .filter(|script| !script.trim().starts_with("cargo install"))
        {
            let done = Command::new("bash")
                .args(["-ec", script])
                .current_dir(place.path())
                .env("PATH", &path)
                .output()
                .unwrap();
            let is_check = script.contains("--check");
            let expected = if is_check { 1 } else { 0 };
            assert_eq!(
                done.status.code(),
                Some(expected),
                "{script}: {}",
                String::from_utf8_lossy(&done.stderr)
            );
            checked += 1;
        }
        assert!(checked >= 2, "{file}: {scripts:?}");
        assert!(place.path().join("out/two.img").is_file(), "{file}");
        let report = fs::read_to_string(place.path().join("report.jsonl")).unwrap();
        assert_eq!(
            report.matches("\"outcome\":\"changed\"").count(),
            2,
            "{report}"
        );
    }
}
