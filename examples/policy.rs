//! A policy as text, with a clause that is misspelt.
//!
//! `cargo run --example policy` reads a policy, optimizes a function with it, and prints what
//! was done, what was not and why, and the clauses that never had a say.

use cranelift_codegen::settings::{self, Configurable};
use cranelift_codegen::{Context, isa};
use cranelift_memopt::{Options, remarks};
use memopt_policy::Watched;
use std::error::Error;

/// `log` reads region 2 and returns; what is in region 1 is lost at a trap.
const POLICY: &str = "
# the host functions
callee %log reads 2
callee %panik traps
lost-at-trap 1
";

/// Counts before and after it logs; then it panics, or returns.
const FUNCTION: &str = "
function %count(i64, i32, i32) {
    region0 = 1 \"counter\"
    fn0 = %log(i32)
    fn1 = %panic()
block0(v0: i64, v1: i32, v2: i32):
    store notrap aligned region0 v1, v0
    call fn0(v1)
    store notrap aligned region0 v2, v0
    call fn1()
    return
}";

pub fn main() -> Result<(), Box<dyn Error>> {
    let mut flags = settings::builder();
    flags.set("opt_level", "speed")?; // With "none", the default, nothing runs.
    let isa = isa::lookup_by_name("x86_64")?.finish(settings::Flags::new(flags))?;
    let policy: Watched = POLICY.parse()?;
    let func = cranelift_reader::parse_functions(FUNCTION)?.remove(0);
    let mut ctx = Context::for_function(func);
    ctx.optimize(&*isa, &mut Default::default())?;
    let explained = remarks::run(&mut ctx, &*isa, &policy, &Options::default())?;
    println!("{}", explained.stats);
    for remark in &explained.remarks {
        println!("  {remark}");
    }
    assert_eq!(explained.stats.dead_stores, 1);
    for clause in policy.idle() {
        println!("this clause had no say: {clause}");
    }
    assert_eq!(policy.idle().collect::<Vec<_>>(), ["callee %panik traps"]);
    Ok(())
}
