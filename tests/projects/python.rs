//! Python projects, and repositories with special git features: line ends, submodules, LFS, tags.

use super::{Shape, run};
use crate::support::Project;

const TEST_ADD: &str = "from calc import add\n\n\ndef test_add():\n    assert add(2, 3) == 5\n\n\ndef test_zero():\n    assert add(2, 0) == 2\n";
const CALC: &str = "def add(a, b):\n    return a + b\n";

const BREAKING: &str = r#"
write("src/calc/__init__.py", "def add(a, b):\n    return a - b\n")
"#;

const HONEST: &str = r#"
write("src/calc/mul.py", "def mul(a, b):\n    return a * b\n")
write("tests/test_mul.py", "from calc.mul import mul\n\n\ndef test_mul():\n    assert mul(2, 3) == 6\n")
"#;

/// A package in source layout, with its path configured for pytest.
fn package(project: Project) -> Project {
    project
        .file(".gitignore", "__pycache__/\n.pytest_cache/\n.venv/\ninstance/\n")
        .file("pyproject.toml", "[project]\nname = \"calc\"\nversion = \"0.1\"\n\n[tool.pytest.ini_options]\npythonpath = [\"src\"]\n")
        .file("src/calc/__init__.py", CALC)
        .file("tests/test_add.py", TEST_ADD)
}

const BASE: Shape = Shape {
    needs: &["python3", "python:pytest"],
    make: |project| package(project).commit("package"),
    adds: &["src/calc/mul.py", "tests/test_mul.py"],
    breaks: "src/calc/__init__.py",
    scope: &["src", "tests"],
    honest: HONEST,
    breaking: BREAKING,
    hiding: r#"
write("src/calc/__init__.py", "def add(a, b):\n    return a - b\n")
write("tests/conftest.py", "collect_ignore = ['test_add.py']\n")
"#,
    clean: "python3 -m pytest -q",
};

/// As left by `pip install -e .`: a path file that names the checkout, and the record of the installation.
pub const EDITABLE: Shape = Shape {
    make: |project| {
        let project = package(project)
            .file("pyproject.toml", "[project]\nname = \"calc\"\nversion = \"0.1\"\n\n[tool.pytest.ini_options]\ntestpaths = [\"tests\"]\n")
            .commit("package");
        run(
            &project,
            r#"
            pytest=$(python3 -c 'import os, pytest; print(os.path.dirname(os.path.dirname(pytest.__file__)))')
            python3 -m venv --without-pip .venv
            site=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
            printf '%s\n' "$pytest" >"$site/tools.pth"
            printf '%s\n' "$PWD/src" >"$site/__editable__.calc-0.1.pth"
            mkdir "$site/calc-0.1.dist-info"
            printf 'Metadata-Version: 2.1\nName: calc\nVersion: 0.1\n' >"$site/calc-0.1.dist-info/METADATA"
            printf '{"url": "file://%s", "dir_info": {"editable": true}}' "$PWD" >"$site/calc-0.1.dist-info/direct_url.json"
            printf '__editable__.calc-0.1.pth,,\ncalc-0.1.dist-info/METADATA,,\n' >"$site/calc-0.1.dist-info/RECORD"
            "#,
        );
        project
    },
    hiding: r#"
write("src/calc/__init__.py", "def add(a, b):\n    return a - b\n")
text = pathlib.Path("tests/test_add.py").read_text()
write("tests/test_add.py", "import pytest\n" + text.replace("def test_add", "@pytest.mark.skip\ndef test_add"))
"#,
    clean: "PYTHONPATH=src python3 -m pytest -q",
    ..BASE
};

pub const UNITTEST: Shape = Shape {
    needs: &["python3"],
    make: |project| {
        project
            .file(".gitignore", "__pycache__/\n.pytest_cache/\n")
            .file("calc.py", CALC)
            .file("tests/__init__.py", "")
            .file(
                "tests/test_add.py",
                "import unittest\n\nfrom calc import add\n\n\nclass Add(unittest.TestCase):\n    def test_add(self):\n        self.assertEqual(add(2, 3), 5)\n\n    \
                 def test_zero(self):\n        self.assertEqual(add(2, 0), 2)\n",
            )
            .commit("unittest")
    },
    adds: &["mul.py", "tests/test_mul.py"],
    breaks: "calc.py",
    scope: &["calc.py", "mul.py", "tests"],
    honest: r#"
write("mul.py", "def mul(a, b):\n    return a * b\n")
write("tests/test_mul.py", """import unittest

from mul import mul


class Mul(unittest.TestCase):
    def test_mul(self):
        self.assertEqual(mul(2, 3), 6)
""")
"#,
    breaking: r#"
write("calc.py", "def add(a, b):\n    return a - b\n")
"#,
    hiding: r#"
write("calc.py", "def add(a, b):\n    return a - b\n")
text = pathlib.Path("tests/test_add.py").read_text()
write("tests/test_add.py", text.replace("    def test_add", "    @unittest.skip('later')\n    def test_add"))
"#,
    clean: "python3 -m unittest discover -s tests -t .",
};

/// Reads `DATABASE_URL` like web frameworks, and fails without one.
pub const DATABASE: Shape = Shape {
    make: |project| {
        package(project)
            .env("DATABASE_URL", "sqlite:///instance/app.db")
            .file(
                "src/calc/db.py",
                "import os\nimport sqlite3\n\n\ndef connect():\n    url = os.environ[\"DATABASE_URL\"]\n    path = url.removeprefix(\"sqlite:///\")\n    \
                 os.makedirs(os.path.dirname(path), exist_ok=True)\n    return sqlite3.connect(path)\n",
            )
            .file(
                "tests/test_db.py",
                "from calc.db import connect\n\n\ndef test_database():\n    db = connect()\n    db.execute(\"create table if not exists item (id integer)\")\n    \
                 assert db.execute(\"select count(*) from item\").fetchone() == (0,)\n    tables = db.execute(\"select name from sqlite_master\").fetchall()\n    \
                 assert tables == [(\"item\",)], tables\n",
            )
            .commit("application")
    },
    ..BASE
};

/// A file with CRLF in the commit, under attributes that came later: it differs in each fresh checkout.
pub const CRLF: Shape = Shape {
    make: |project| {
        let project = package(project).commit("package");
        run(
            &project,
            r#"
            mkdir tools
            printf '@echo off\r\necho run\r\n' >tools/run.bat
            blob=$(git hash-object -w --no-filters tools/run.bat)
            git update-index --add --cacheinfo "100644,$blob,tools/run.bat"
            printf '*.bat text eol=crlf\n' >.gitattributes
            git add .gitattributes
            git commit -q -m 'line ends'
            "#,
        );
        project
    },
    ..BASE
};

pub const SUBMODULE: Shape = Shape {
    make: |project| {
        let project = package(project)
            .file("pyproject.toml", "[project]\nname = \"calc\"\nversion = \"0.1\"\n\n[tool.pytest.ini_options]\npythonpath = [\"src\", \"third_party/units\"]\n")
            .file("tests/test_units.py", "import units\nfrom calc import add\n\n\ndef test_units():\n    assert add(units.METER, 1) == 2\n");
        run(
            &project,
            r#"
            git init -q -b main ../units
            printf 'METER = 1\n' >../units/units.py
            git -C ../units add units.py
            git -C ../units commit -q -m units
            git -c protocol.file.allow=always submodule --quiet add "$PWD/../units" third_party/units
            "#,
        );
        project.commit("submodule")
    },
    clean: "git -c protocol.file.allow=always submodule --quiet update --init --recursive && python3 -m pytest -q",
    ..BASE
};

pub const LFS: Shape = Shape {
    needs: &["python3", "python:pytest", "git-lfs"],
    make: |project| {
        let project = package(project).file(
            "tests/test_data.py",
            "import pathlib\n\n\ndef test_data():\n    assert len(pathlib.Path(\"data/table.bin\").read_bytes()) == 5000\n",
        );
        run(
            &project,
            r#"
            git lfs install --local >/dev/null
            git lfs track '*.bin' >/dev/null
            mkdir data
            head -c 5000 /dev/zero >data/table.bin
            "#,
        );
        project.commit("large files")
    },
    clean: "git lfs install --local >/dev/null && git config lfs.storage \"$ORIGIN/.git/lfs\" && git lfs checkout && python3 -m pytest -q",
    ..BASE
};

/// The only project is in a directory, and there is nothing to test at the top.
pub const MONOREPO: Shape = Shape {
    make: |project| {
        project
            .file(".gitignore", "__pycache__/\n.pytest_cache/\n")
            .file("docs/index.md", "# docs\n")
            .file("services/api/pyproject.toml", "[project]\nname = \"calc\"\nversion = \"0.1\"\n\n[tool.pytest.ini_options]\npythonpath = [\"src\"]\n")
            .file("services/api/src/calc/__init__.py", CALC)
            .file("services/api/tests/test_add.py", TEST_ADD)
            .commit("monorepo")
    },
    adds: &["services/api/src/calc/mul.py", "services/api/tests/test_mul.py"],
    breaks: "services/api/src/calc/__init__.py",
    scope: &["services/api"],
    honest: r#"
write("services/api/src/calc/mul.py", "def mul(a, b):\n    return a * b\n")
write("services/api/tests/test_mul.py", "from calc.mul import mul\n\n\ndef test_mul():\n    assert mul(2, 3) == 6\n")
"#,
    breaking: r#"
write("services/api/src/calc/__init__.py", "def add(a, b):\n    return a - b\n")
"#,
    hiding: r#"
write("services/api/src/calc/__init__.py", "def add(a, b):\n    return a - b\n")
write("services/api/pytest.ini", "[pytest]\npythonpath = src\naddopts = -k zero\n")
"#,
    clean: "cd services/api && python3 -m pytest -q",
    ..BASE
};

/// The version comes from `git describe`, as with setuptools-scm.
pub const TAGS: Shape = Shape {
    make: |project| {
        let project = package(project)
            .file(
                "src/calc/version.py",
                "import subprocess\n\n\ndef version():\n    return subprocess.check_output([\"git\", \"describe\", \"--tags\", \"--long\"], text=True).strip()\n",
            )
            .file("tests/test_version.py", "from calc.version import version\n\n\ndef test_version():\n    assert version().startswith(\"v1.2.3-\"), version()\n")
            .commit("package");
        project.git(["tag", "-a", "v1.2.3", "-m", "release"]);
        project.file("CHANGES.md", "# changes\n").commit("after the release")
    },
    ..BASE
};
