//! Projects of the npm world: workspaces whose packages find each other through `node_modules`.

use super::{Shape, run};
use crate::support::Project;

const HONEST: &str = r#"
write("packages/core/mul.js", "exports.mul = (a, b) => a * b;\n")
write("packages/core/mul.test.js", """const test = require("node:test");
const assert = require("node:assert");
const { mul } = require("./mul.js");
test("mul", () => assert.equal(mul(2, 3), 6));
""")
"#;

const BREAKING: &str = r#"
write("packages/core/index.js", "exports.add = (a, b) => a - b;\n")
"#;

const HIDING: &str = r#"
write("packages/core/index.js", "exports.add = (a, b) => a - b;\n")
os.remove("packages/app/app.test.js")
"#;

/// Only the app's test would notice that the core is broken.
fn files(project: Project) -> Project {
    project
        .file(".gitignore", "node_modules/\n")
        .file("packages/core/index.js", "exports.add = (a, b) => a + b;\n")
        .file(
            "packages/app/app.test.js",
            "const test = require(\"node:test\");\nconst assert = require(\"node:assert\");\n\
             const { add } = require(\"@calc/core\");\n\
             test(\"add\", () => assert.equal(add(2, 3), 5));\ntest(\"zero\", () => assert.equal(add(2, 0), 2));\n",
        )
        .file(
            "packages/core/package.json",
            r#"{"name": "@calc/core", "version": "1.0.0", "main": "index.js", "scripts": {"test": "node --test"}}"#,
        )
}

pub const NPM_WORKSPACES: Shape = Shape {
    needs: &["node", "npm"],
    make: |project| {
        let project = files(project)
            .file("package.json", r#"{"name": "calc", "private": true, "workspaces": ["packages/*"], "scripts": {"test": "npm test --workspaces --if-present"}}"#)
            .file("packages/app/package.json", r#"{"name": "@calc/app", "version": "1.0.0", "dependencies": {"@calc/core": "^1.0.0"}, "scripts": {"test": "node --test"}}"#);
        run(&project, "npm install --silent");
        project.commit("workspaces")
    },
    adds: &["packages/core/mul.js", "packages/core/mul.test.js"],
    breaks: "packages/core/index.js",
    scope: &["packages"],
    honest: HONEST,
    breaking: BREAKING,
    hiding: HIDING,
    clean: "npm ci --silent && npm test",
};

pub const PNPM_WORKSPACE: Shape = Shape {
    needs: &["node", "pnpm"],
    make: |project| {
        let project = files(project)
            .file("package.json", r#"{"name": "calc", "private": true, "scripts": {"test": "pnpm --recursive test"}}"#)
            .file("pnpm-workspace.yaml", "packages:\n  - packages/*\n")
            .file("packages/app/package.json", r#"{"name": "@calc/app", "version": "1.0.0", "dependencies": {"@calc/core": "workspace:*"}, "scripts": {"test": "node --test"}}"#);
        run(&project, "pnpm install --offline --silent");
        project.commit("workspaces")
    },
    adds: &["packages/core/mul.js", "packages/core/mul.test.js"],
    breaks: "packages/core/index.js",
    scope: &["packages"],
    honest: HONEST,
    breaking: BREAKING,
    hiding: HIDING,
    clean: "pnpm install --offline --frozen-lockfile --silent && pnpm test",
};
