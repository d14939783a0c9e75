//! Modules of a Go workspace. Pure.

/// Returns a pattern for each module of a workspace: at a top without a module of its own, `./...` matches no package.
pub fn package_patterns(work: &str) -> Vec<String> {
    let mut patterns = Vec::new();
    let mut in_block = false;
    for line in work.lines().map(|line| line.split("//").next().unwrap_or_default().trim()) {
        let module = match line.strip_prefix("use") {
            Some(rest) if rest.trim() == "(" => {
                in_block = true;
                continue;
            }
            Some(rest) if rest.starts_with([' ', '\t']) => rest.trim(),
            _ if line == ")" => {
                in_block = false;
                continue;
            }
            _ if in_block => line,
            _ => continue,
        };
        let module = module.trim_matches('"').trim_start_matches("./").trim_matches('/');
        match module {
            "" | "." => patterns.push("./...".to_owned()),
            module => patterns.push(format!("./{module}/...")),
        }
    }
    if patterns.is_empty() {
        patterns.push("./...".to_owned());
    }
    patterns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_module_of_a_workspace_has_a_pattern() {
        let work = "go 1.19\n\nuse (\n\t. // here\n\t./tools/\n)\nuse ./b\n";
        assert_eq!(package_patterns(work), ["./...", "./tools/...", "./b/..."]);
        assert_eq!(package_patterns(""), ["./..."]);
    }
}
