//! Links between the project's own files lead somewhere.
//!
//! What is on the web is not fetched: a test must not fail because a server is down.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The Markdown files of the project.
fn files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(root.join("docs")).unwrap();
    let docs = docs.map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = docs
        .filter(|path| path.extension().is_some_and(|it| it == "md"))
        .collect();
    files.extend(["README.md", "CHANGELOG.md"].map(|name| root.join(name)));
    files.sort();
    files
}

/// The targets of the links in a text, without what is in code blocks.
fn targets(text: &str) -> Vec<String> {
    let mut is_code = false;
    let mut prose = String::new();
    for line in text.lines() {
        is_code ^= line.trim_start().starts_with("```");
        if !is_code {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    let parts = prose.split("](").skip(1);
    let ends = parts.map(|part| part.split([')', ' ']).next().unwrap_or_default());
    ends.map(str::to_owned).collect()
}

/// The anchors of the headings of a text, as GitHub makes them.
fn anchors(text: &str) -> HashSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| -> String {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        title
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect()
    };
    headings.map(anchor).collect()
}

/// What is wrong with the link to `target` in `file`.
fn broken(file: &Path, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = match target.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor)),
        None => (target, None),
    };
    let folder = file.parent().unwrap();
    let path = match path {
        "" => file.to_owned(),
        path => folder.join(path),
    };
    let complaint = |why| Some(format!("{}: `{target}` {why}", file.display()));
    if !path.exists() {
        return complaint("leads nowhere");
    }
    let anchor = anchor.filter(|_| path.is_file())?;
    let text = fs::read_to_string(&path).unwrap();
    match anchors(&text).contains(anchor) {
        true => None,
        false => complaint("has no such heading"),
    }
}

#[test]
fn links_lead_somewhere() {
    let files = files();
    let mut links = 0;
    let mut wrong = Vec::new();
    for file in &files {
        for target in targets(&fs::read_to_string(file).unwrap()) {
            links += 1;
            wrong.extend(broken(file, &target));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(links > 40, "{links} links in {files:?}");
}

#[test]
fn a_broken_link_is_found() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    assert!(broken(&readme, "docs/nothing.md").is_some());
    assert!(broken(&readme, "docs/passes.md#no-such-heading").is_some());
    assert!(broken(&readme, "docs/passes.md#facts").is_none());
    assert_eq!(targets("a [b](c#d) and\n```\n[x](y)\n```\n"), ["c#d"]);
}
