//! The examples in `contrib/` that spread a list of images over many processes.

use crate::run::{BOOTBANK, Place, python, repository};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Output};

const PROFILE: &str = "esxi67-usb-passthru";

/// Five images and a list of them; the fourth is none.
fn place() -> Place {
    let place = Place::new();
    let mut list = String::new();
    for name in ["a", "b", "c", "d", "e"] {
        let path = place.copy(PROFILE, &format!("{name}.img"));
        list.push_str(&format!("{}\n", path.display()));
    }
    place.write("d.img", "no image");
    place.write("list", list);
    let plan = fs::read(repository("scripts/ci/plan.toml")).unwrap();
    place.write("plan.toml", plan);
    place
}

fn spread(place: &Place, script: &str, extra_path: &str) -> Output {
    let path = format!("{extra_path}:{}", std::env::var("PATH").unwrap());
    let ran = Command::new(repository(script))
        .args(["list", "plan.toml", "out"])
        .env("BOOTBANK", BOOTBANK)
        .env("JOBS", "3")
        .env("PATH", path)
        .current_dir(place.path())
        .output();
    ran.unwrap()
}

/// Every image once in the report, in order; the bad one as an error, the copies equal and changed.
fn check(place: &Place, ran: &Output) {
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(6), "{said}");
    let report = String::from_utf8(place.read("out/report.jsonl")).unwrap();
    let objects: Vec<Value> = report
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(objects.len(), 5, "{report}");
    for (object, name) in objects.iter().zip(["a", "b", "c", "d", "e"]) {
        let target = object["target"].as_str().unwrap();
        assert!(target.ends_with(&format!("{name}.img")), "{target}");
        assert_eq!(object["error"].is_object(), name == "d", "{object}");
    }
    let copy = place.read("out/a.img");
    assert_ne!(copy, place.read("a.img"));
    for name in ["b", "c", "e"] {
        assert!(copy == place.read(&format!("out/{name}.img")));
    }
    assert!(!place.path().join("out/d.img").exists());
}

/// The commands in the README, on the report of a run.
fn check_questions(place: &Place) {
    let readme = fs::read_to_string(repository("contrib/parallel/README.md")).unwrap();
    let questions: Vec<&str> = readme.lines().filter(|it| it.starts_with("jq ")).collect();
    let mut answers = BTreeMap::new();
    for question in &questions {
        let answered = Command::new("sh")
            .args(["-c", question])
            .current_dir(place.path())
            .output()
            .unwrap();
        assert!(answered.status.success(), "{question}");
        answers.insert(*question, String::from_utf8(answered.stdout).unwrap());
    }
    assert_eq!(questions.len(), 2);
    assert!(answers.values().any(|it| it.contains("d.img: ")));
    assert!(answers.values().any(|it| it.contains("\"changed\": 4")));
}

#[test]
fn gnu_parallel_changes_copies_of_a_list_of_images() {
    let place = place();
    for _ in 0..2 {
        let ran = spread(&place, "contrib/parallel/with-parallel", "");
        check(&place, &ran);
    }
    check_questions(&place);
    place.write("list", "/one/x.img\n/two/x.img\n");
    let ran = spread(&place, "contrib/parallel/with-parallel", "");
    assert_eq!(ran.status.code(), Some(2), "two copies of one name");
    assert!(String::from_utf8_lossy(&ran.stderr).contains("x.img"));
}

/// Slurm is not there: a script in its place runs the jobs of the array one after the other, as its manual says.
const SBATCH: &str = r#"#!/bin/bash
while (($#)); do
  case $1 in
    --array=*) range=${1#*=} ;;
    --wrap) wrapped=$2; shift ;;
  esac
  shift
done
code=0
for i in $(seq "${range%-*}" "${range#*-}"); do
  SLURM_ARRAY_TASK_ID=$i sh -c "$wrapped" || code=1
done
exit $code
"#;

#[test]
fn a_slurm_array_changes_copies_of_a_list_of_images() {
    let place = place();
    fs::create_dir(place.path().join("bin")).unwrap();
    place.write("bin/sbatch", SBATCH);
    let made = Command::new("chmod")
        .args(["755", "bin/sbatch"])
        .current_dir(place.path())
        .status();
    assert!(made.unwrap().success());
    let bin = place.path().join("bin");
    let ran = spread(&place, "contrib/parallel/with-slurm", bin.to_str().unwrap());
    check(&place, &ran);
}

/// Prints the number of pods, and what each of them runs.
const PODS: &str = "
import json, sys, yaml
job = yaml.safe_load(open(sys.argv[1]))['spec']
container = job['template']['spec']['containers'][0]
variables = {it['name']: it['value'] for it in container['env']}
print(json.dumps([job['completions'], job['completionMode'], container['command'] + container['args'], variables]))
";

#[test]
fn the_pods_of_the_kubernetes_job_share_the_list() {
    let read = Command::new(python())
        .args(["-c", PODS])
        .arg(repository("contrib/kubernetes/job.yaml"))
        .output()
        .unwrap();
    let job: Value = serde_json::from_slice(&read.stdout).unwrap();
    assert_eq!(job[1], "Indexed");
    assert_eq!(job[3]["BOOTBANK"], "/images/bin/bootbank");
    let place = place();
    let part = repository("contrib/parallel/part");
    let here = place.path().to_str().unwrap();
    let mut codes = Vec::new();
    for pod in 0..job[0].as_u64().unwrap() {
        let words: Vec<String> = job[2]
            .as_array()
            .unwrap()
            .iter()
            .map(|word| {
                let word = word.as_str().unwrap();
                let word = word.replace("/job/part", part.to_str().unwrap());
                let word = word.replace("/job", here).replace("/images", here);
                word.replace("$(JOB_COMPLETION_INDEX)", &pod.to_string())
            })
            .collect();
        let ran = Command::new(&words[0])
            .args(&words[1..])
            .env("BOOTBANK", BOOTBANK)
            .output()
            .unwrap();
        codes.push(ran.status.code().unwrap());
    }
    assert_eq!(codes.iter().filter(|code| **code == 6).count(), 1);
    assert_eq!(codes.iter().filter(|code| **code == 0).count(), 7);
    let readme = fs::read_to_string(repository("contrib/kubernetes/README.md")).unwrap();
    let merge = readme
        .lines()
        .find(|line| line.starts_with("cat "))
        .unwrap();
    let merged = Command::new("sh")
        .args(["-c", merge])
        .current_dir(place.path())
        .status();
    assert!(merged.unwrap().success());
    let report = String::from_utf8(place.read("out/report.jsonl")).unwrap();
    assert_eq!(report.lines().count(), 5);
}
