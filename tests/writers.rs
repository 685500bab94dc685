//! Every instruction that may write, and what may not be concluded around it.
//!
//! Each opcode that stores, that has another side effect, or that calls, stands in
//! three functions: between two `readonly` loads of what it may write, between the
//! storing of a slot's address and the load that may find it, and between a load and
//! the store that puts back what was loaded. An opcode that is not in the table fails
//! the test, so that one which upstream adds is thought about.

use cranelift_codegen::Context;
use cranelift_codegen::ir::{Function, Opcode};
use cranelift_codegen::isa::{self, TargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_memopt::{NoPolicy, Options, run_module};
use std::sync::Arc;

/// Who changes memory where an instruction stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Writer {
    /// The instruction itself, or somebody of whom `readonly` says nothing.
    Itself,
    /// Others alone: a callee, or another thread.
    Others,
}

/// How an instruction is written that may store `$` to what `v0` points to.
const TABLE: &[(Opcode, Writer, &str)] = &[
    (Opcode::Store, Writer::Itself, "store notrap region0 $, v0"),
    (
        Opcode::Istore8,
        Writer::Itself,
        "istore8 notrap region0 $, v0",
    ),
    (
        Opcode::Istore16,
        Writer::Itself,
        "istore16 notrap region0 $, v0",
    ),
    (
        Opcode::Istore32,
        Writer::Itself,
        "istore32 notrap region0 $, v0",
    ),
    (
        Opcode::AtomicStore,
        Writer::Itself,
        "atomic_store notrap region0 $, v0",
    ),
    (
        Opcode::AtomicRmw,
        Writer::Itself,
        "v20 = atomic_rmw.i64 notrap region0 xchg v0, $",
    ),
    (
        Opcode::AtomicCas,
        Writer::Itself,
        "v20 = atomic_cas.i64 notrap region0 v0, v1, $",
    ),
    (
        Opcode::StackSwitch,
        Writer::Itself,
        "v20 = stack_switch v0, v1, $",
    ),
    (Opcode::Debugtrap, Writer::Itself, "debugtrap"),
    (Opcode::SequencePoint, Writer::Itself, "sequence_point"),
    (Opcode::Fence, Writer::Others, "fence"),
    (
        Opcode::AtomicLoad,
        Writer::Others,
        "v20 = atomic_load.i64 notrap region0 v0",
    ),
    (
        Opcode::GetPinnedReg,
        Writer::Others,
        "v20 = get_pinned_reg.i64",
    ),
    (Opcode::SetPinnedReg, Writer::Others, "set_pinned_reg $"),
    (Opcode::Call, Writer::Others, "call fn0(v0, $)"),
    (
        Opcode::CallIndirect,
        Writer::Others,
        "call_indirect sig0, v1(v0, $)",
    ),
    (
        Opcode::TryCall,
        Writer::Others,
        "try_call fn0(v0, $), sig0, block1, [ default: block2 ]\nblock2:\n    trap user1\nblock1:",
    ),
    (
        Opcode::TryCallIndirect,
        Writer::Others,
        "try_call_indirect v1(v0, $), sig0, block1, [ default: block2 ]\nblock2:\n    trap user1\nblock1:",
    ),
];

/// Ends the function, so that nothing is behind it.
fn ends(opcode: Opcode) -> bool {
    opcode.is_return() || opcode == Opcode::Trap
}

fn isa() -> Arc<dyn TargetIsa> {
    let mut flags = settings::builder();
    flags.set("opt_level", "speed").unwrap();
    flags.set("enable_verifier", "true").unwrap();
    flags.set("enable_pinned_reg", "true").unwrap();
    let isa = isa::lookup_by_name("x86_64").unwrap();
    isa.finish(settings::Flags::new(flags)).unwrap()
}

/// The function of `lines`, optimized.
fn optimized(lines: &[&str]) -> Function {
    let mut text = "function %f(i64, i64) -> i64 {
    ss0 = explicit_slot 8
    region0 = 1 \"A\"
    sig0 = (i64, i64) system_v
    fn0 = %g sig0
block0(v0: i64, v1: i64):\n"
        .to_string();
    for line in lines {
        text += &format!("    {line}\n");
    }
    text += "}\n";
    let mut functions =
        cranelift_reader::parse_functions(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let mut contexts = [Context::for_function(functions.remove(0))];
    let stats = run_module(&mut contexts, &*isa(), &|_| &NoPolicy, &Options::default());
    stats.unwrap();
    contexts[0].func.clone()
}

fn count(func: &Function, opcode: Opcode) -> usize {
    let blocks = func.layout.blocks();
    let insts = blocks.flat_map(|block| func.layout.block_insts(block));
    insts
        .filter(|inst| func.dfg.insts[*inst].opcode() == opcode)
        .count()
}

/// Calls `test` for each opcode of the table.
fn for_each_writer(test: impl Fn(Opcode, Writer, &str)) {
    for (opcode, writer, inst) in TABLE {
        test(*opcode, *writer, inst);
    }
}

#[test]
fn the_table_has_every_opcode_that_may_write() {
    for opcode in Opcode::all() {
        let writes = opcode.can_store() || opcode.other_side_effects() || opcode.is_call();
        let listed = TABLE.iter().any(|(listed, ..)| listed == opcode);
        assert_eq!(listed, writes && !ends(*opcode), "{opcode}");
    }
}

#[test]
fn a_readonly_load_observes_what_is_stored_in_this_function() {
    for_each_writer(|opcode, writer, inst| {
        let func = optimized(&[
            "v2 = load.i64 notrap aligned readonly region0 v0",
            &inst.replace('$', "v1"),
            "v3 = load.i64 notrap aligned readonly region0 v0",
            "v4 = iadd v3, v2",
            "return v4",
        ]);
        let loads = match (opcode, writer) {
            // It stores all that is loaded.
            (Opcode::Store, _) => 1,
            (_, Writer::Itself) => 2,
            // All that others do changes nothing that is loaded `readonly`.
            (_, Writer::Others) => 1,
        };
        assert_eq!(count(&func, Opcode::Load), loads, "{opcode}\n{func}");
    });
}

#[test]
fn an_address_that_was_stored_may_be_loaded() {
    for_each_writer(|opcode, writer, inst| {
        let func = optimized(&[
            "v2 = stack_addr.i64 ss0",
            &inst.replace('$', "v2"),
            "v3 = load.i64 notrap aligned readonly region0 v0",
            "v4 = icmp eq v3, v2",
            "v5 = uextend.i64 v4",
            "return v5",
        ]);
        let compares = match (opcode, writer) {
            // The load is answered by the store, and the two are equal.
            (Opcode::Store, _) => {
                assert!(func.to_string().contains("iconst.i8 1"), "{func}");
                0
            }
            (_, Writer::Itself) if inst.contains('$') => 1,
            // Nobody knows the slot; or others do not store where what is found is
            // loaded `readonly`.
            (_, Writer::Itself | Writer::Others) => 0,
        };
        assert_eq!(count(&func, Opcode::Icmp), compares, "{opcode}\n{func}");
    });
}

#[test]
fn a_store_back_is_a_store_behind_whatever_may_write() {
    for_each_writer(|opcode, _, inst| {
        for readonly in ["", "readonly"] {
            let func = optimized(&[
                &format!("v2 = load.i64 notrap aligned {readonly} region0 v0"),
                &inst.replace('$', "v1"),
                "store notrap aligned region0 v2, v0",
                "return v2",
            ]);
            // What is overwritten as a whole is dead, and then the store back is one.
            let plain = opcode.can_store() && !opcode.other_side_effects();
            if !plain || !readonly.is_empty() {
                assert!(count(&func, Opcode::Store) >= 1, "{opcode}\n{func}");
            }
        }
    });
}
