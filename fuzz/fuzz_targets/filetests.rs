//! Each input chooses a filetest, and then one change of it after the other.
#![no_main]

use libfuzzer_sys::fuzz_target;
use memopt_check::Checking;
use memopt_trace::compare::{Setting, Verdict, compare, host_isa};
use memopt_trace::filetests::{self, Filetests};
use std::path::Path;
use std::sync::LazyLock;

static FILETESTS: LazyLock<Filetests> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../filetests");
    Filetests::read(&folder).expect("the filetests of the repository")
});

fuzz_target!(|input: (u64, u64, Vec<u64>)| {
    let (which, seed, changes) = input;
    let isa = host_isa();
    let changes = &changes[..changes.len().min(16)];
    let module = FILETESTS.mutated(which, changes, &*isa);
    let inputs = filetests::inputs(&module, seed, 4);
    let setting = Setting {
        checking: Checking::Restore,
        ..Setting::plain()
    };
    let verdict = compare(&module, &inputs, &*isa, &setting);
    if let Verdict::Wrong(failure) = verdict
        && failure.kind.changes_meaning()
    {
        panic!("{}: {}", failure.kind, failure.details);
    }
});
