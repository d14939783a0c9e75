//! A wrapper around git that logs every call of a drain and can hold one call, before or after its work, until the test
//! releases it.

use std::path::PathBuf;

use super::testbed::real_git;
use crate::support::{Project, executable};

/// `armed` names the call to hold: before or after, the command or `any`, and which of these calls. noclobber makes the
/// counting atomic, since several drains may call at once. The wrapper releases by itself after two minutes, so that
/// nothing outlives a test.
const WRAPPER: &str = r#"#!/bin/sh
sub= skip=
for a do
  if [ -n "$skip" ]; then skip=; continue; fi
  case $a in -c) skip=1 ;; -*) ;; *) sub=$a; break ;; esac
done
echo "git $sub" >>"$at/steps"
hold() {
  echo "$sub" >"$at/held.new"; mv "$at/held.new" "$at/held"
  i=0; while [ -e "$at/armed" ] && [ $i -lt 6000 ]; do sleep 0.02; i=$((i + 1)); done
}
where=
if [ -e "$at/armed" ] && [ ! -e "$at/held" ] && read -r when which nth <"$at/armed"; then
  case $which in any | "$sub")
    n=1
    while ! (set -C; : >"$at/count.$n") 2>/dev/null; do n=$((n + 1)); done
    [ "$n" = "$nth" ] && where=$when ;;
  esac
fi
case $where in
  before) hold; exec "$git" "$@" ;;
  after) "$git" "$@"; code=$?; hold; exit $code ;;
  *) exec "$git" "$@" ;;
esac
"#;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Before,
    After,
}

pub struct Gate {
    at: PathBuf,
}

impl Gate {
    /// Puts the wrapper on the PATH of the project's drains. `Testbed` creates the directory `witness`, before or after
    /// this.
    pub fn on(project: Project) -> (Project, Self) {
        let (at, bin) = (project.outside("witness"), project.outside("bin"));
        std::fs::create_dir_all(&at).unwrap();
        std::fs::create_dir_all(&bin).unwrap();
        let path = std::env::var("PATH").unwrap();
        let (shebang, rest) = WRAPPER.split_once('\n').unwrap();
        let names = format!("at='{}'\ngit='{}'", at.display(), real_git());
        let wrapper = bin.join("git");
        executable(&wrapper, &format!("{shebang}\n{names}\n{rest}"));
        let project = project.env("PATH", format!("{}:{path}", bin.display()));
        (project, Self { at })
    }

    /// Holds the `nth` call from now on of this command, or of `any`.
    pub fn arm(&self, when: When, which: &str, nth: u64) {
        self.release();
        let when = if when == When::Before { "before" } else { "after" };
        let new = self.at.join("armed.new");
        std::fs::write(&new, format!("{when} {which} {nth}\n")).unwrap();
        std::fs::rename(new, self.at.join("armed")).unwrap();
    }

    /// The command held at present.
    pub fn held(&self) -> Option<String> {
        std::fs::read_to_string(self.at.join("held")).ok().map(|text| text.trim().to_owned())
    }

    /// Releases the held call and holds no further ones.
    pub fn release(&self) {
        for entry in std::fs::read_dir(&self.at).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name == "armed" || name == "held" || name.starts_with("count.") {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.release();
    }
}
