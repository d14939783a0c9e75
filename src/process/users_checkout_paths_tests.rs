//! Tests of variables that point into the user's checkout.

use std::os::unix::fs::symlink;

use super::*;

struct Places {
    _temp: tempfile::TempDir,
    root: PathBuf,
    copy: PathBuf,
    top: PathBuf,
}

fn places() -> Places {
    let temp = tempfile::tempdir().unwrap();
    let top = temp.path().canonicalize().unwrap();
    let (root, copy) = (top.join("app"), top.join("slot"));
    for dir in ["app/src", "app/.venv/bin", "app/tools", "slot/src", "slot/.venv/bin", "out/env"] {
        fs::create_dir_all(top.join(dir)).unwrap();
    }
    symlink("app", top.join("link")).unwrap();
    symlink("../out/env", root.join("env")).unwrap();
    Places { _temp: temp, root, copy, top }
}

fn env(of: &[(&str, String)]) -> Env {
    of.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect()
}

fn relocated(at: &Places, name: &str, value: &str, absent: MissingPathRule) -> Option<String> {
    let given = value.replace("APP", at.root.to_str().unwrap());
    let given = given.replace("LINK", at.top.join("link").to_str().unwrap());
    let pwd = at.top.join("link/src").display().to_string();
    let users = UsersCheckout::new(&at.root, &env(&[("PWD", pwd)]));
    let relocated = users.relocate(&env(&[(name, given)]), &at.copy, absent);
    let value = relocated.env.get(OsStr::new(name))?.to_str()?.to_owned();
    let value = value.replace(at.copy.to_str().unwrap(), "COPY");
    Some(value.replace(at.root.to_str().unwrap(), "APP").replace(at.top.to_str().unwrap(), ""))
}

#[test]
fn paths_of_the_checkout_are_replaced_or_dropped() {
    let at = places();
    let ci = |name: &str, value: &str| relocated(&at, name, value, MissingPathRule::Drop);
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(ci("VIRTUAL_ENV", "APP/.venv"), some("COPY/.venv"));
    assert_eq!(ci("PATH", "APP/.venv/bin:APP/tools:/usr/bin"), some("COPY/.venv/bin:/usr/bin"));
    assert_eq!(ci("PYTHONPATH", "src:APP/src:APP"), some("src:COPY/src:COPY"));
    assert_eq!(ci("GOWORK", "APP/go.work"), None);
    assert_eq!(ci("ANYTHING", "LINK/src"), some("COPY/src"));
    assert_eq!(ci("ANYTHING", "LINK/../app/src"), some("COPY/src"));
    assert_eq!(ci("VIRTUAL_ENV", "APP/env"), some("/out/env"), "a link out of the checkout");
    assert_eq!(ci("PYTEST_ADDOPTS", "--rootdir=APP -q"), some("--rootdir=COPY -q"));
    assert_eq!(ci("CFLAGS", "-IAPP/src"), some("-ICOPY/src"));
    assert_eq!(ci("DB", "sqlite:///APP/x.db"), some("sqlite:///COPY/x.db"));
}

#[test]
fn paths_elsewhere_stay() {
    let at = places();
    for (name, value) in [
        ("PATH", "/usr/bin:/bin"),
        ("HOME", "APP"),
        ("AUTOPACK_WORKSPACE", "APP"),
        ("X", "APPLE/src"),
        ("URL", "postgres://u@h/app"),
        ("EMPTY", ""),
    ] {
        assert_eq!(
            relocated(&at, name, value, MissingPathRule::Drop).as_deref(),
            Some(value),
            "{name}"
        );
    }
}

#[test]
fn agents_keep_untracked_files_except_in_build_variables() {
    let at = places();
    let agent = |name: &str, value: &str| {
        relocated(&at, name, value, MissingPathRule::KeepExceptBuildVariables)
    };
    assert_eq!(agent("KEY_FILE", "APP/.key").as_deref(), Some("APP/.key"));
    assert_eq!(agent("PATH", "APP/tools:/bin").as_deref(), Some("APP/tools:/bin"));
    assert_eq!(agent("GOWORK", "APP/go.work"), None);
    assert_eq!(agent("VIRTUAL_ENV", "APP/.venv").as_deref(), Some("COPY/.venv"));
}

#[test]
fn affected_variables_are_named() {
    let at = places();
    let users = UsersCheckout::new(&at.root, &Env::new());
    let root = at.root.display();
    let named = users.affected_variables(&env(&[
        ("PATH", format!("{root}/tools:/bin")),
        ("GOWORK", format!("{root}/go.work")),
        ("PYTEST_ADDOPTS", format!("-c {root}/x.ini")),
        ("HOME", format!("{root}")),
    ]));
    assert_eq!(named, ["GOWORK", "PATH", "PYTEST_ADDOPTS"]);
}

#[test]
fn nothing_is_dropped_if_the_checkout_is_the_home_directory() {
    let at = places();
    let root = at.root.display().to_string();
    let env = env(&[("HOME", root.clone()), ("PATH", format!("{root}/.local/bin:/bin"))]);
    let users = UsersCheckout::new(&at.root, &env);
    assert_eq!(users.relocate(&env, &at.copy, MissingPathRule::Drop).env, env);
}
