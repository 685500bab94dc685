//! `memopt export`: what it writes, and when it writes nothing.

mod common;

use common::{Bench, repository};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const UPSTREAM: &str = "mod a;\nmod c;\n\nfn f() {\n    g();\n}\n\nfn h() {\n    g();\n}\n";

/// A directory with a checkout of one file, and a repository with one patch.
fn bench(edit: &str) -> Bench {
    let bench = Bench::new();
    for folder in ["up/src", "own/glue/1-first", "own/src/memopt/facts"] {
        fs::create_dir_all(bench.path(folder)).unwrap();
    }
    bench.write("up/src/lib.rs", UPSTREAM);
    bench.write("own/src/memopt/mod.rs", "//! Passes.\n");
    bench.write("own/src/memopt/facts/mod.rs", "//! Facts, no line break");
    let patch = format!(
        "subject = 'Add b'\nmessage = 'Because.'\n\
         [[copy]]\nfrom = 'src/memopt'\nto = 'src/b'\n\
         [[edit]]\nfile = 'src/lib.rs'\nafter = 'mod a;'\nlines = 'mod b;'\n{edit}"
    );
    bench.write("own/glue/1-first/patch.toml", patch);
    bench
}

fn export(bench: &Bench, arguments: &[&str]) -> common::Outcome {
    bench.memopt(&[&["export", "--repository", "own"], arguments].concat())
}

#[test]
fn files_are_copied_and_lines_placed() {
    let bench = bench("");
    export(&bench, &["--checkout", "up", "--out", "new"]).ends_with(0);
    let edited = UPSTREAM.replace("mod a;\n", "mod a;\nmod b;\n");
    assert_eq!(bench.read("new/src/lib.rs"), edited);
    assert_eq!(bench.read("new/src/b/mod.rs"), "//! Passes.\n");
    assert_eq!(
        bench.read("new/src/b/facts/mod.rs"),
        "//! Facts, no line break"
    );
    assert_eq!(bench.read("up/src/lib.rs"), UPSTREAM);
}

#[test]
fn a_checkout_can_be_changed_itself() {
    let bench = bench("");
    export(&bench, &["--checkout", "up", "--in-place"]).ends_with(0);
    assert!(bench.read("up/src/lib.rs").starts_with("mod a;\nmod b;\n"));
}

/// Runs git in the checkout; what it prints.
fn git(bench: &Bench, arguments: &[&str]) -> String {
    let mut command = std::process::Command::new("git");
    command.args(["-c", "user.name=A", "-c", "user.email=a@example.invalid"]);
    command.args(["-c", "commit.gpgsign=false", "-c", "core.autocrlf=false"]);
    let output = command.args(arguments).current_dir(bench.path("up"));
    let output = output.output().expect("git starts");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn git_takes_the_patches() {
    let bench = bench("[[edit]]\nfile = 'src/lib.rs'\nreplace = 'mod c;'\nlines = ''\n");
    let arguments = ["--checkout", "up", "--format-patch", "patches"];
    export(&bench, &arguments)
        .ends_with(0)
        .prints("0001-Add-b.patch");
    git(&bench, &["init", "--quiet"]);
    git(&bench, &["add", "--all"]);
    git(&bench, &["commit", "--quiet", "-m", "pristine"]);
    git(&bench, &["am", "--quiet", "../patches/0001-Add-b.patch"]);
    assert_eq!(
        git(&bench, &["log", "-1", "--format=%an: %B"]).trim(),
        "Nobody yet: Add b\n\nBecause."
    );
    let edited = UPSTREAM.replace("mod a;\nmod c;\n", "mod a;\nmod b;\n");
    assert_eq!(bench.read("up/src/lib.rs"), edited);
    assert_eq!(bench.read("up/src/b/mod.rs"), "//! Passes.\n");
    assert_eq!(
        bench.read("up/src/b/facts/mod.rs"),
        "//! Facts, no line break"
    );
}

/// The edit is refused with `complaint`, and nothing is written.
#[track_caller]
fn refuses(edit: &str, complaint: &str) {
    let bench = bench(edit);
    let outcome = export(&bench, &["--checkout", "up", "--in-place"]);
    outcome.ends_with(1).complains("1-first: src/lib.rs: ");
    outcome.complains(complaint).complains("nothing is changed");
    assert_eq!(bench.read("up/src/lib.rs"), UPSTREAM);
    assert!(!bench.path("up/src/b").exists());
    let reported = export(&bench, &["--report", "up"]);
    reported.ends_with(1).prints(complaint);
    reported.prints("1 of 2 anchors hold");
}

#[test]
fn a_missing_anchor_is_named() {
    let edit = "[[edit]]\nfile = 'src/lib.rs'\nbefore = 'mod d;'\nlines = ''\n";
    refuses(edit, "missing anchor\n      | mod d;\n");
}

#[test]
fn an_ambiguous_anchor_is_named_with_its_places() {
    let edit = "[[edit]]\nfile = 'src/lib.rs'\nreplace = '    g();'\nlines = ''\n";
    refuses(edit, "ambiguous anchor, at lines 6, 10\n      |     g();\n");
}

#[test]
fn a_missing_enclosing_anchor_is_named() {
    let edit =
        "[[edit]]\nfile = 'src/lib.rs'\nwithin = 'fn i() {'\nafter = '    g();'\nlines = ''\n";
    refuses(edit, "missing anchor\n      | fn i() {\n");
}

#[test]
fn a_copy_replaces_no_file() {
    let bench = bench("");
    fs::create_dir_all(bench.path("up/src/b")).unwrap();
    bench.write("up/src/b/mod.rs", "theirs");
    let outcome = export(&bench, &["--checkout", "up", "--in-place"]);
    outcome
        .ends_with(1)
        .complains("src/b/mod.rs: the file exists already");
    assert_eq!(bench.read("up/src/b/mod.rs"), "theirs");
    assert_eq!(bench.read("up/src/lib.rs"), UPSTREAM);
}

#[test]
fn an_edit_of_a_file_that_is_not_there_is_refused() {
    let edit = "[[edit]]\nfile = 'src/main.rs'\nafter = 'x'\nlines = ''\n";
    let bench = bench(edit);
    let outcome = export(&bench, &["--checkout", "up", "--in-place"]);
    outcome.ends_with(1).complains("src/main.rs: no such file");
    assert_eq!(bench.read("up/src/lib.rs"), UPSTREAM);
}

#[test]
fn a_second_way_is_taken_where_the_first_is_missing() {
    let bench = bench(
        "[[edit]]\nfile = 'src/lib.rs'\nafter = 'mod d;'\nlines = 'mod e;'\n\
         [[edit.or]]\nafter = 'mod c;'\nlines = 'mod d;'\n",
    );
    export(&bench, &["--report", "up"])
        .ends_with(0)
        .prints("after `mod c;` (anchor 2 of 2): holds");
    export(&bench, &["--checkout", "up", "--in-place"]).ends_with(0);
    let text = bench.read("up/src/lib.rs");
    assert!(
        text.starts_with("mod a;\nmod b;\nmod c;\nmod d;\n"),
        "{text}"
    );
}

#[test]
fn an_export_replaces_only_an_earlier_one() {
    let bench = bench("");
    fs::create_dir_all(bench.path("new")).unwrap();
    bench.write("new/mine", "kept");
    let arguments = ["--checkout", "up", "--out", "new"];
    let refused = export(&bench, &arguments);
    refused.ends_with(2).complains("new: not empty");
    fs::remove_file(bench.path("new/mine")).unwrap();
    export(&bench, &arguments).ends_with(0);

    // What the first export wrote and the second does not is gone; what
    // someone else put there is not.
    bench.write("new/mine", "kept");
    fs::remove_file(bench.path("own/src/memopt/facts/mod.rs")).unwrap();
    let written = fs::metadata(bench.path("new/src/lib.rs")).unwrap();
    export(&bench, &arguments).ends_with(0);
    assert!(!bench.path("new/src/b/facts/mod.rs").exists());
    assert_eq!(bench.read("new/mine"), "kept");
    let again = fs::metadata(bench.path("new/src/lib.rs")).unwrap();
    assert_eq!(written.modified().unwrap(), again.modified().unwrap());
}

#[test]
fn what_a_checkout_ignores_is_not_copied() {
    let bench = bench("");
    fs::create_dir_all(bench.path("up/target")).unwrap();
    fs::create_dir_all(bench.path("up/.cargo")).unwrap();
    bench.write("up/target/junk", "");
    bench.write("up/.cargo/config.toml", "");
    bench.write("up/.gitignore", "/target\n");
    export(&bench, &["--checkout", "up", "--out", "new"]).ends_with(0);
    assert!(!bench.path("new/target").exists());
    assert!(bench.path("new/.cargo/config.toml").exists());
}

/// Every file below `folder`, by its path there.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let walk = ignore::WalkBuilder::new(folder)
        .standard_filters(false)
        .build();
    let files = walk
        .map(Result::unwrap)
        .filter(|entry| entry.path().is_file());
    let read = |entry: ignore::DirEntry| {
        let path = entry.path().strip_prefix(folder).unwrap();
        (path.display().to_string(), fs::read(entry.path()).unwrap())
    };
    files.map(read).collect()
}

#[test]
fn the_published_crates_take_the_series() {
    let bench = Bench::new();
    bench
        .memopt(&["export", "--registry", "--out", "new"])
        .ends_with(0);
    let own = files(Path::new(&repository("src/memopt")));
    let exported = files(&bench.path("new/cranelift-codegen/src/memopt"));
    assert!(own == exported, "src/memopt is not copied byte for byte");
    assert!(!own.is_empty());
    for (file, line) in [
        ("cranelift-codegen/src/lib.rs", "\npub mod memopt;\n"),
        ("cranelift-codegen/src/context.rs", "memopt_effort()"),
        ("cranelift-codegen-meta/src/isle.rs", "\"isle_memopt.rs\""),
        (
            "cranelift-codegen-meta/src/shared/settings.rs",
            "\"memopt_effort\"",
        ),
    ] {
        assert!(bench.read(&format!("new/{file}")).contains(line), "{file}");
    }
    for name in [
        "wasmtime",
        "wasmtime-environ",
        "wasmtime-internal-cranelift",
    ] {
        assert!(bench.path(&format!("new/{name}/Cargo.toml")).exists());
    }
    let reported = bench.memopt(&["export", "--registry"]);
    reported.ends_with(0).prints(&format!(
        "cranelift-codegen: cranelift-codegen-{}\n",
        cranelift_codegen::VERSION
    ));
}

/// The ISLE files that a build compiles are those that the export brings.
#[test]
fn every_rule_is_exported() {
    let patch = fs::read_to_string(repository("glue/02-cranelift-memopt/patch.toml")).unwrap();
    for entry in fs::read_dir(repository("isle")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".isle") {
            assert!(patch.contains(&format!("from = \"isle/{name}\"")), "{name}");
            assert!(patch.contains(&format!("join(\"{name}\")")), "{name}");
        }
    }
}

#[test]
fn a_source_can_be_elsewhere() {
    let bench = Bench::new();
    let arguments = ["export", "--registry", "--source", "cranelift-codegen=none"];
    let reported = bench.memopt(&arguments);
    reported.ends_with(1).prints("no such file");
    let unknown = bench.memopt(&["export", "--registry", "--source", "serde=none"]);
    unknown
        .ends_with(2)
        .complains("serde is not a crate that the export changes");
}
