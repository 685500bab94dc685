//! The ways into the crate: machine code, whole modules, and what they refuse.

use cranelift_codegen::ir::{Function, UserFuncName};
use cranelift_codegen::isa::unwind::UnwindInfoKind;
use cranelift_codegen::isa::{self, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_codegen::{CodegenError, CompiledCode, Context};
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_memopt::{
    Cause, Compiler, DefineError, Defined, FunctionError, Handover, NoPolicy, Options,
    define_functions, optimize, optimize_module, run_module,
};
use cranelift_module::{FuncId, Linkage, Module, ModuleError, default_libcall_names};
use cranelift_object::{ObjectBuilder, ObjectModule};

const ADAPTER: &str = include_str!("../filetests/adapter/issue-12311.clif");

/// A function with a bit of everything that the mid-end likes to change.
const BUSY: &str = "
function u0:0(i64, i32) -> i32 {
    ss0 = explicit_slot 16, align = 8
    region0 = 1 \"one\"
    region1 = 2 \"two\"
block0(v0: i64, v1: i32):
    v2 = stack_addr.i64 ss0
    store notrap aligned v1, v2
    v3 = load.i32 notrap aligned region0 v0+4
    store notrap aligned region1 v3, v0+8
    brif v3, block1, block2(v1)
block1:
    v4 = load.i32 notrap aligned v2
    v5 = iadd v4, v3
    v6 = load.i32 notrap aligned region1 v0+8
    v7 = iadd v5, v6
    jump block2(v7)
block2(v8: i32):
    store notrap aligned region0 v3, v0+4
    return v8
}";

fn isa(name: &str, settings: &[(&str, &str)]) -> OwnedTargetIsa {
    let mut flags = settings::builder();
    for (setting, value) in settings {
        flags.set(setting, value).unwrap();
    }
    let builder = isa::lookup_by_name(name).unwrap();
    builder.finish(settings::Flags::new(flags)).unwrap()
}

fn fast(name: &str) -> OwnedTargetIsa {
    isa(name, &[("opt_level", "speed")])
}

fn functions(text: &str) -> Vec<Function> {
    cranelift_reader::parse_functions(text).unwrap()
}

fn context(text: &str) -> Context {
    let [func] = <[Function; 1]>::try_from(functions(text)).unwrap();
    Context::for_function(func)
}

fn contexts(text: &str) -> Vec<Context> {
    let functions = functions(text).into_iter();
    functions.map(Context::for_function).collect()
}

/// A function that does not verify: it returns what is not there.
fn broken() -> Context {
    context("function u0:0() -> i32 {\nblock0:\n    return\n}")
}

#[test]
fn every_native_back_end_gives_code() {
    for name in ["x86_64", "aarch64", "riscv64", "s390x"] {
        let isa = fast(name);
        let mut compiler = Compiler::new();
        for mut ctx in contexts(ADAPTER).into_iter().chain(contexts(BUSY)) {
            let (code, _) = compiler
                .compile(&mut ctx, &*isa, &NoPolicy, &Options::full())
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(!code.code_buffer().is_empty(), "{name}");
        }
    }
}

#[test]
fn without_optimization_the_function_is_upstreams() {
    let isa = isa("x86_64", &[("opt_level", "none")]);
    for text in [ADAPTER, BUSY] {
        for (mut ours, mut theirs) in contexts(text).into_iter().zip(contexts(text)) {
            let stats = optimize(&mut ours, &*isa, &NoPolicy, &Options::full()).unwrap();
            theirs.optimize(&*isa, &mut Default::default()).unwrap();
            assert_eq!(
                ours.func.display().to_string(),
                theirs.func.display().to_string()
            );
            assert_eq!(stats.edits(), 0);
        }
    }
}

#[test]
fn without_optimization_the_code_is_upstreams() {
    let isa = isa("x86_64", &[("opt_level", "none")]);
    let (mut ours, mut theirs) = (context(BUSY), context(BUSY));
    let mut compiler = Compiler::new();
    let (code, _) = compiler
        .compile(&mut ours, &*isa, &NoPolicy, &Options::full())
        .unwrap();
    let expected = theirs.compile(&*isa, &mut Default::default()).unwrap();
    assert_eq!(code.code_buffer(), expected.code_buffer());
    let unwinding = |code: &CompiledCode| {
        code.create_unwind_info_of_kind(&*isa, UnwindInfoKind::SystemV)
            .unwrap()
    };
    assert!(unwinding(&code).is_some());
    assert_eq!(unwinding(&code), unwinding(expected));
}

#[test]
fn a_disassembly_comes_when_asked_for() {
    let isa = fast("x86_64");
    for wanted in [false, true] {
        let mut ctx = context(BUSY);
        ctx.set_disasm(wanted);
        let mut compiler = Compiler::new();
        let (code, _) = compiler
            .compile(&mut ctx, &*isa, &NoPolicy, &Options::full())
            .unwrap();
        assert_eq!(code.vcode.is_some(), wanted);
    }
}

#[test]
fn the_same_input_gives_the_same_output() {
    let isa = fast("x86_64");
    // The second compiler has been used before, for something else.
    let mut used = Compiler::new();
    let options = Options::full();
    for mut ctx in contexts(ADAPTER) {
        used.compile(&mut ctx, &*isa, &NoPolicy, &options).unwrap();
    }
    let one_by_one = |compiler: &mut Compiler| {
        let mut output = Vec::new();
        for mut ctx in contexts(BUSY).into_iter().chain(contexts(ADAPTER)) {
            let (code, stats) = compiler
                .compile(&mut ctx, &*isa, &NoPolicy, &options)
                .unwrap();
            let clif = ctx.func.display().to_string();
            output.push((clif, code.code_buffer().to_vec(), stats));
        }
        output
    };
    assert_eq!(one_by_one(&mut Compiler::new()), one_by_one(&mut used));

    let together = || {
        let mut set = contexts(ADAPTER);
        let stats = optimize_module(&mut set, &*isa, &|_| &NoPolicy, &options).unwrap();
        let clif: Vec<_> = set
            .iter()
            .map(|ctx| ctx.func.display().to_string())
            .collect();
        (clif, stats)
    };
    assert_eq!(together(), together());
}

#[test]
fn past_the_mid_end_is_the_mid_end_and_the_passes() {
    let isa = fast("x86_64");
    let options = Options::full();
    let mut whole = contexts(BUSY);
    optimize_module(&mut whole, &*isa, &|_| &NoPolicy, &options).unwrap();
    let mut parts = contexts(BUSY);
    for ctx in &mut parts {
        ctx.optimize(&*isa, &mut Default::default()).unwrap();
        // Who comes from elsewhere has no graphs.
        let func = std::mem::replace(&mut ctx.func, Function::new());
        *ctx = Context::for_function(func);
    }
    run_module(&mut parts, &*isa, &|_| &NoPolicy, &options).unwrap();
    for (whole, part) in whole.iter().zip(&parts) {
        assert_eq!(
            whole.func.display().to_string(),
            part.func.display().to_string()
        );
    }
}

#[test]
fn what_does_not_verify_is_an_error() {
    let isa = fast("x86_64");
    let options = Options::full();
    let error = Compiler::new()
        .compile(&mut broken(), &*isa, &NoPolicy, &options)
        .err()
        .unwrap();
    assert!(matches!(error, CodegenError::Verifier(_)), "{error}");
    let error = Compiler::new().emit(&mut broken(), &*isa).err().unwrap();
    assert!(matches!(error, CodegenError::Verifier(_)), "{error}");
    let mut set = [context(BUSY), broken()];
    let FunctionError { index, error } = optimize_module(&mut set, &*isa, &|_| &NoPolicy, &options)
        .err()
        .unwrap();
    assert_eq!(index, 1);
    assert!(matches!(error, CodegenError::Verifier(_)), "{error}");
}

// Modules.

fn jit() -> JITModule {
    let mut flags = settings::builder();
    flags.set("opt_level", "speed").unwrap();
    flags.set("is_pic", "false").unwrap();
    let isa = cranelift_native::builder()
        .unwrap()
        .finish(settings::Flags::new(flags))
        .unwrap();
    JITModule::new(JITBuilder::with_isa(isa, default_libcall_names()))
}

fn object(name: &str) -> ObjectModule {
    let isa = fast(name);
    ObjectModule::new(ObjectBuilder::new(isa, "plug", default_libcall_names()).unwrap())
}

/// Declares each function of `text` with its linkage, ids in the order of the
/// text, and returns its body with a name that tells nothing, as many frontends
/// leave it.
fn declare(module: &mut dyn Module, text: &str, linkages: &[Linkage]) -> Vec<(FuncId, Context)> {
    let functions = functions(text);
    assert_eq!(functions.len(), linkages.len());
    let declare = |(index, (mut func, linkage)): (usize, (Function, &Linkage))| {
        let name = format!("f{index}");
        let id = module
            .declare_function(&name, *linkage, &func.signature)
            .unwrap();
        func.name = UserFuncName::default();
        (id, Context::for_function(func))
    };
    let pairs = functions.into_iter().zip(linkages).enumerate();
    pairs.map(declare).collect()
}

fn define(
    module: &mut dyn Module,
    set: Vec<(FuncId, Context)>,
    handover: Handover,
) -> Result<Vec<Defined>, DefineError> {
    define_functions(module, set, &NoPolicy, &Options::full(), handover)
}

fn cause(module: &mut dyn Module, set: Vec<(FuncId, Context)>) -> Cause {
    define(module, set, Handover::Bytes).err().unwrap().cause
}

/// Is the argument even, is it odd: each asks the other about one less.
const EVEN_AND_ODD: &str = "
function u0:0(i64) -> i64 system_v {
    fn0 = u0:1(i64) -> i64 system_v
block0(v0: i64):
    brif v0, block1, block2
block1:
    v1 = iconst.i64 -1
    v2 = iadd v0, v1
    v3 = call fn0(v2)
    return v3
block2:
    v4 = iconst.i64 1
    return v4
}
function u0:1(i64) -> i64 system_v {
    fn0 = u0:0(i64) -> i64 system_v
block0(v0: i64):
    brif v0, block1, block2
block1:
    v1 = iconst.i64 -1
    v2 = iadd v0, v1
    v3 = call fn0(v2)
    return v3
block2:
    v4 = iconst.i64 0
    return v4
}";

#[test]
#[cfg(all(unix, target_pointer_width = "64"))]
fn functions_that_call_each_other_run() {
    for handover in [Handover::Bytes, Handover::Context] {
        let mut module = jit();
        let set = declare(
            &mut module,
            EVEN_AND_ODD,
            &[Linkage::Local, Linkage::Export],
        );
        let defined = define(&mut module, set, handover).unwrap();
        assert_eq!(defined.len(), 2);
        for (index, one) in (0..).zip(&defined) {
            assert_eq!(one.id, FuncId::from_u32(index));
            assert_eq!(one.ctx.func.name, UserFuncName::user(0, index));
            assert!(!one.code.code_buffer().is_empty());
        }
        module.finalize_definitions().unwrap();
        let code = module.get_finalized_function(defined[1].id);
        // SAFETY: the function is the second one above, by the convention of C.
        let is_odd: extern "C" fn(i64) -> i64 = unsafe { std::mem::transmute(code) };
        assert_eq!(
            (0..7).map(|n| is_odd(n)).collect::<Vec<_>>(),
            [0, 1, 0, 1, 0, 1, 0]
        );
    }
}

#[test]
fn an_object_file_gets_what_the_usual_way_puts_there() {
    for name in ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"] {
        let write = |handover| {
            let mut module = object(name);
            let set = declare(
                &mut module,
                EVEN_AND_ODD,
                &[Linkage::Local, Linkage::Export],
            );
            match handover {
                Some(handover) => drop(define(&mut module, set, handover).unwrap()),
                None => {
                    for (id, mut ctx) in set {
                        module.define_function(id, &mut ctx).unwrap();
                    }
                }
            }
            module.finish().emit().unwrap()
        };
        // The passes have nothing to do in these functions.
        let usual = write(None);
        assert_eq!(write(Some(Handover::Bytes)), usual, "{name}");
        assert_eq!(write(Some(Handover::Context)), usual, "{name}");
    }
}

const TRY_CALL: &str = "
function u0:0(i64) -> i64 tail {
    sig0 = (i64) -> i64 tail
    fn0 = u0:1(i64) -> i64 tail
block0(v0: i64):
    try_call fn0(v0), sig0, block1(ret0), [ default: block2(exn0) ]
block1(v1: i64):
    return v1
block2(v2: i64):
    return v2
}";

#[test]
fn exception_handlers_are_refused_with_the_reason() {
    let mut module = jit();
    let set = declare(&mut module, TRY_CALL, &[Linkage::Export]);
    let signature = set[0].1.func.signature.clone();
    module
        .declare_function("thrower", Linkage::Import, &signature)
        .unwrap();
    let id = set[0].0;
    let error = define(&mut module, set, Handover::Bytes).err().unwrap();
    assert_eq!(error.id, id);
    assert!(matches!(error.cause, Cause::ExceptionHandlers));
    let text = error.to_string();
    assert!(
        text.contains("`f0`") && text.contains("exception handlers"),
        "{text}"
    );

    // Nothing was defined, and the other way carries them.
    let set = vec![(id, context(TRY_CALL))];
    let defined = define(&mut module, set, Handover::Context).unwrap();
    let mut sites = defined[0].code.buffer.call_sites();
    assert!(sites.any(|site| !site.exception_handlers.is_empty()));
}

/// The adapter, its callee first.
const CALLEE_AND_ADAPTER: &str = "
function u0:0(i64) tail {
    region0 = 10 \"callee's own state\"
block0(v0: i64):
    v1 = load.i32 notrap aligned region0 v0+32
    v2 = iadd v1, v1
    store notrap aligned region0 v2, v0+32
    return
}
function u0:1(i64) tail {
    ss0 = explicit_slot 16, align = 8
    region0 = 1 \"VMContext.current_task\"
    region1 = 2 \"VMAsyncTask.kind\"
    region2 = 3 \"VMAsyncTask.prev\"
    fn0 = u0:0(i64) tail
block0(v0: i64):
    v1 = load.i64 notrap aligned region0 v0+8
    v2 = stack_addr.i64 ss0
    v3 = iconst.i32 1
    store notrap aligned region1 v3, v2
    store notrap aligned region2 v1, v2+8
    store notrap aligned region0 v2, v0+8
    call fn0(v0)
    store notrap aligned region0 v1, v0+8
    return
}";

/// The stores left in the adapter if its callee has this linkage.
fn stores_in_adapter(callee: Linkage) -> usize {
    let mut module = object("x86_64-unknown-linux-gnu");
    let set = declare(&mut module, CALLEE_AND_ADAPTER, &[callee, Linkage::Export]);
    let defined = define(&mut module, set, Handover::Bytes).unwrap();
    let clif = defined[1].ctx.func.display().to_string();
    assert!(clif.contains("call fn0"), "{clif}");
    clif.matches("store ").count()
}

#[test]
fn not_transparent_if_preemptible() {
    assert_eq!(stores_in_adapter(Linkage::Preemptible), 4);
}

#[test]
fn a_callee_that_stays_is_transparent() {
    for linkage in [Linkage::Local, Linkage::Hidden, Linkage::Export] {
        assert_eq!(stores_in_adapter(linkage), 0);
    }
}

#[test]
fn names_that_the_module_does_not_know_are_refused() {
    for name in ["u0:1", "u2:0", "u4294967295:0", "%f0", "u1:0"] {
        let text = format!(
            "function u0:0() system_v {{\n fn0 = {name}() system_v\nblock0:\n call fn0()\n return\n}}"
        );
        let mut module = jit();
        let set = declare(&mut module, &text, &[Linkage::Export]);
        match cause(&mut module, set) {
            Cause::UnknownName(unknown) => assert_eq!(unknown, name),
            other => panic!("{name}: {other}"),
        }
    }
}

#[test]
fn unlike_ideas_of_thread_local_are_refused() {
    let text = "
function u0:0() -> i64 system_v {
    gv0 = symbol tls u1:0
block0:
    v0 = tls_value.i64 gv0
    return v0
}";
    let mut module = object("x86_64-unknown-linux-gnu");
    let data = module
        .declare_data("data", Linkage::Export, true, false)
        .unwrap();
    let set = declare(&mut module, text, &[Linkage::Export]);
    let cause = cause(&mut module, set);
    assert!(
        matches!(cause, Cause::ThreadLocal(id) if id == data),
        "{cause}"
    );
}

#[test]
fn sets_that_make_no_sense_are_refused() {
    const LEAF: &str = "function u0:0() system_v {\nblock0:\n    return\n}";
    let mut module = jit();
    let set = vec![(FuncId::from_u32(7), context(LEAF))];
    assert!(matches!(cause(&mut module, set), Cause::NotDeclared));

    let mut set = declare(&mut module, LEAF, &[Linkage::Local]);
    set.push((set[0].0, context(LEAF)));
    assert!(matches!(cause(&mut module, set), Cause::TwoBodies));

    let signature = context(LEAF).func.signature.clone();
    let import = module
        .declare_function("import", Linkage::Import, &signature)
        .unwrap();
    let set = vec![(import, context(LEAF))];
    assert!(matches!(cause(&mut module, set), Cause::Imported));

    let id = FuncId::from_u32(0);
    define(&mut module, vec![(id, context(LEAF))], Handover::Bytes).unwrap();
    let again = cause(&mut module, vec![(id, context(LEAF))]);
    match &again {
        Cause::Module(error) => assert!(matches!(**error, ModuleError::DuplicateDefinition(_))),
        other => panic!("{other}"),
    }

    assert!(
        define(&mut module, Vec::new(), Handover::Bytes)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn one_bad_function_leaves_the_module_as_it_was() {
    let mut module = jit();
    let set = declare(&mut module, EVEN_AND_ODD, &[Linkage::Local, Linkage::Local]);
    let ids = [set[0].0, set[1].0];
    let bodies = contexts(EVEN_AND_ODD);
    let mut set = set;
    set[1].1 = broken();
    let error = define(&mut module, set, Handover::Bytes).err().unwrap();
    assert_eq!(error.id, ids[1]);
    assert!(matches!(
        error.cause,
        Cause::Codegen(CodegenError::Verifier(_))
    ));
    let source = std::error::Error::source(&error);
    assert!(source.is_some());

    let set = ids.into_iter().zip(bodies).collect();
    define(&mut module, set, Handover::Bytes).unwrap();
}
