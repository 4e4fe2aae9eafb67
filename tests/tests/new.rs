//! Can somebody begin with what `trial new` writes?

use std::{fs, path::Path, process::Command};

fn trial(dir: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_trial-under-test"))
        .args(args)
        .current_dir(dir)
        .env_remove("GITHUB_ACTIONS")
        .output()
        .expect("can be started");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("is text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn scratch(name: &str) -> std::path::PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("new").join(name);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).expect("can be made");
    dir
}

#[test]
fn every_template_runs_as_it_expects() {
    let dir = scratch("templates");
    for template in ["leader-crash", "power-loss", "controllers", "lesson", "random"] {
        let (code, said, told) = trial(&dir, &["new", template, "--template", template]);
        assert_eq!(code, Some(0), "{told}");
        let file = format!("{template}.scenario.json");
        assert!(said.starts_with(&format!("wrote {file}\n")), "{said}");
        let (code, said, told) = trial(&dir, &["run", &file, "--no-progress"]);
        assert_eq!(code, Some(0), "{said}{told}");
        assert!(said.contains("PASS"), "{said}");
    }
}

#[test]
fn nothing_is_overwritten_and_no_bad_name_is_written() {
    let dir = scratch("refused");
    assert_eq!(trial(&dir, &["new", "mine"]).0, Some(0));
    let before = fs::read(dir.join("mine.scenario.json")).expect("was written");
    let (code, _, told) = trial(&dir, &["new", "mine", "--template", "lesson"]);
    assert_eq!(code, Some(2));
    assert!(told.contains("mine.scenario.json is there already"), "{told}");
    assert_eq!(fs::read(dir.join("mine.scenario.json")).expect("is there"), before);
    for (name, why) in [("a b", "cannot name a directory"), ("no/such/place", "no such directory")] {
        let (code, _, told) = trial(&dir, &["new", name]);
        assert_eq!(code, Some(2));
        assert!(told.contains(why), "{told}");
    }
    assert_eq!(fs::read_dir(&dir).expect("is there").count(), 1);
}

#[test]
fn within_a_repository_the_schema_is_named() {
    let dir = scratch("schema");
    fs::create_dir_all(dir.join("scenarios/schema")).expect("can be made");
    fs::create_dir_all(dir.join("scenarios/mine")).expect("can be made");
    fs::write(dir.join("scenarios/schema/scenario-v1.json"), "{}").expect("can be written");
    for (name, schema) in [
        ("scenarios/mine/a", "../schema/scenario-v1.json"),
        ("scenarios/b", "schema/scenario-v1.json"),
        ("c", "scenarios/schema/scenario-v1.json"),
    ] {
        assert_eq!(trial(&dir, &["new", name]).0, Some(0));
        let text = fs::read_to_string(dir.join(format!("{name}.scenario.json"))).expect("was written");
        assert!(text.contains(&format!("\"$schema\": \"{schema}\"")), "{text}");
    }
}
