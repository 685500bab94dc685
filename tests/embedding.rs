//! What an embedder of a `cranelift_module::Module` meets: names, batches, errors, and
//! what is said where nothing was done.

use cranelift_codegen::ir::UserFuncName;
use cranelift_codegen::settings::{self, Configurable};
use cranelift_codegen::timing::{self, Pass, Profiler};
use cranelift_codegen::{Context, isa};
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_memopt::{
    CalleeName, Cause, Compiler, DefineError, Defined, Handover, NoPolicy, Options, Policy,
    Summaries, define_batch, define_functions,
};
use cranelift_module::{FuncId, Linkage, Module, default_libcall_names};
use cranelift_object::{ObjectBuilder, ObjectModule};
use cranelift_reader::parse_functions;
use memopt_policy::Watched;
use std::any::Any;
use std::cell::Cell;
use std::rc::Rc;

/// Stores, calls, and stores again to the same place.
const CALLER: &str = "
function u0:1(i64, i32) system_v {
    region0 = 1 \"mine\"
    fn0 = u0:0(i64) system_v
block0(v0: i64, v1: i32):
    store notrap aligned region0 v1, v0
    call fn0(v0)
    v2 = iadd v1, v1
    store notrap aligned region0 v2, v0
    return
}";

/// What it may call: a body that touches nothing.
const LEAF: &str = "function u0:0(i64) system_v {\nblock0(v0: i64):\n    return\n}";

fn module(opt_level: &str) -> ObjectModule {
    let mut flags = settings::builder();
    flags.set("opt_level", opt_level).unwrap();
    let isa = isa::lookup_by_name("x86_64-unknown-linux-gnu").unwrap();
    let isa = isa.finish(settings::Flags::new(flags)).unwrap();
    ObjectModule::new(ObjectBuilder::new(isa, "embedding", default_libcall_names()).unwrap())
}

/// Declares the function of `text`; its id has to be the one that `text` has.
fn declare(
    module: &mut ObjectModule,
    name: &str,
    linkage: Linkage,
    text: &str,
) -> (FuncId, Context) {
    let mut func = parse_functions(text).unwrap().remove(0);
    let id = module
        .declare_function(name, linkage, &func.signature)
        .unwrap();
    assert_eq!(func.name, UserFuncName::user(0, id.as_u32()));
    func.name = UserFuncName::default();
    (id, Context::for_function(func))
}

/// Defines a batch of one function, by no policy.
fn define(
    module: &mut ObjectModule,
    function: (FuncId, Context),
    known: &mut Summaries,
) -> Vec<Defined> {
    let (policy, options) = (NoPolicy, Options::full());
    define_batch(
        module,
        vec![function],
        &policy,
        &options,
        Handover::Bytes,
        known,
    )
    .unwrap()
}

fn stores(defined: &Defined) -> usize {
    defined
        .ctx
        .func
        .display()
        .to_string()
        .matches("store ")
        .count()
}

/// The stores left in the caller of an imported `log`, of which `policy` speaks.
fn stores_around_log(policy: &dyn Policy) -> usize {
    let mut module = module("speed");
    declare(&mut module, "log", Linkage::Import, LEAF);
    let caller = declare(&mut module, "caller", Linkage::Export, CALLER);
    let options = Options::full();
    let defined = define_functions(&mut module, vec![caller], policy, &options, Handover::Bytes);
    stores(&defined.unwrap()[0])
}

#[test]
fn a_policy_speaks_of_a_function_by_the_name_it_is_declared_with() {
    for clause in ["callee %log reads 2", "callee u0:0 reads 2"] {
        let policy: Watched = clause.parse().unwrap();
        assert_eq!(stores_around_log(&policy), 1, "{clause}");
        assert_eq!(policy.idle().count(), 0, "{clause}");
    }
    for clause in ["callee %lgo reads 2", "callee u0:1 reads 2"] {
        let policy: Watched = clause.parse().unwrap();
        assert_eq!(stores_around_log(&policy), 2, "{clause}");
        assert_eq!(policy.idle().collect::<Vec<_>>(), [clause]);
    }
}

#[test]
fn of_two_clauses_the_one_by_number_counts() {
    let policy: Watched = "callee %log reads 2\ncallee u0:0 reads 1".parse().unwrap();
    assert_eq!(stores_around_log(&policy), 2);
}

#[test]
fn an_id_is_the_name_that_callers_use() {
    assert_eq!(
        CalleeName::from(FuncId::from_u32(7)),
        CalleeName::User(0, 7)
    );
}

#[test]
fn what_one_batch_tells_the_next_one_knows() {
    let mut module = module("speed");
    let leaf = declare(&mut module, "leaf", Linkage::Local, LEAF);
    let caller = declare(&mut module, "caller", Linkage::Export, CALLER);
    let mut known = Summaries::default();
    define(&mut module, leaf, &mut known);
    let defined = define(&mut module, caller, &mut known);
    assert_eq!(stores(&defined[0]), 1);
}

#[test]
fn not_known_what_may_be_replaced_or_was_forgotten() {
    for (linkage, forget) in [(Linkage::Preemptible, false), (Linkage::Local, true)] {
        let mut module = module("speed");
        let leaf = declare(&mut module, "leaf", linkage, LEAF);
        let caller = declare(&mut module, "caller", Linkage::Export, CALLER);
        let mut known = Summaries::default();
        define(&mut module, leaf, &mut known);
        if forget {
            known.forget(&FuncId::from_u32(0).into());
        }
        let defined = define(&mut module, caller, &mut known);
        assert_eq!(stores(&defined[0]), 2, "{linkage:?}");
    }
}

#[test]
fn an_error_shows_its_entries_and_gives_the_functions_back() {
    let mut module = module("speed");
    let leaf = declare(&mut module, "leaf", Linkage::Local, LEAF);
    let mut caller = declare(&mut module, "caller", Linkage::Export, CALLER);
    let good = caller.1.func.clone();
    caller.1.func.signature.params.pop();
    let (policy, options) = (NoPolicy, Options::full());
    let mut known = Summaries::default();
    let batch = vec![leaf, caller];
    let error = define_batch(
        &mut module,
        batch,
        &policy,
        &options,
        Handover::Bytes,
        &mut known,
    );
    let error = error.err().unwrap();
    let said = error.to_string();
    assert!(matches!(error.cause, Cause::Codegen(_)));
    assert!(
        said.contains("`caller`") && said.contains("entry block parameters (2) must match"),
        "{said}"
    );
    assert!(!said.contains("Verifier errors"), "{said}");
    assert!(known.get(&FuncId::from_u32(0).into()).is_none());

    // The embedder mends what is wrong, or falls back to what it did before.
    let DefineError {
        defined,
        mut functions,
        ..
    } = error;
    assert_eq!((defined, functions.len()), (0, 2));
    functions[1].1.func = good;
    for (id, mut ctx) in functions {
        module.define_function(id, &mut ctx).unwrap();
    }
    assert!(module.finish().emit().is_ok());
}

#[test]
fn a_module_that_does_not_optimize_is_told_so() {
    let mut module = JITModule::new(JITBuilder::new(default_libcall_names()).unwrap());
    let mut func = parse_functions(LEAF).unwrap().remove(0);
    func.signature.call_conv = module.isa().default_call_conv();
    let id = module
        .declare_function("leaf", Linkage::Local, &func.signature)
        .unwrap();
    let batch = vec![(id, Context::for_function(func))];
    let options = Options::full();
    let defined = define_functions(&mut module, batch, &NoPolicy, &options, Handover::Bytes);
    let stats = defined.unwrap()[0].stats;
    assert_eq!((stats.runs, stats.skipped_by_opt_level), (0, 1));
    assert_eq!(stats.to_string(), "did not run: opt_level=none");
}

#[test]
fn a_function_that_effort_leaves_out_is_told_so() {
    let mut module = module("speed");
    let leaf = declare(&mut module, "leaf", Linkage::Local, LEAF);
    let options = Options::default();
    let handover = Handover::Bytes;
    let defined = define_functions(&mut module, vec![leaf], &NoPolicy, &options, handover);
    let stats = defined.unwrap()[0].stats;
    assert_eq!((stats.runs, stats.skipped_by_effort), (0, 1));
}

/// Counts how often the passes are timed.
struct Counting(Rc<Cell<u32>>);

impl Profiler for Counting {
    fn start_pass(&self, pass: Pass) -> Box<dyn Any> {
        if pass == Pass::gvn {
            self.0.set(self.0.get() + 1);
        }
        Box::new(())
    }
}

#[test]
fn upstreams_timing_has_the_passes() {
    let count = Rc::new(Cell::new(0));
    let before = timing::set_thread_profiler(Box::new(Counting(count.clone())));
    let isa = module("speed");
    let mut ctx = Context::for_function(parse_functions(CALLER).unwrap().remove(0));
    let mut compiler = Compiler::new();
    let compiled = compiler.compile(&mut ctx, isa.isa(), &NoPolicy, &Options::full());
    timing::set_thread_profiler(before);
    assert!(compiled.is_ok());
    assert!(count.get() >= 1);
}

#[test]
fn a_compiler_can_go_to_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<Compiler>();
    is_send::<Summaries>();
    is_send::<Options>();
}
