//! The function behind a component's export `run`, and the loop in it.

use anyhow::{Context as _, Result, anyhow, ensure};
use cranelift_codegen::dominator_tree::DominatorTree;
use cranelift_codegen::flowgraph::ControlFlowGraph;
use cranelift_codegen::ir::{Block, Function, Inst};
use cranelift_codegen::loop_analysis::{Loop, LoopAnalysis};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use wasmparser::{Validator, WasmFeatures};
use wasmtime_environ::component::{
    Component, ComponentTypesBuilder, CoreDef, Export, ExportItem, GlobalInitializer,
    InstantiateModule, RuntimeInstanceIndex, Translator,
};
use wasmtime_environ::{EntityIndex, ScopeVec, StaticModuleIndex, Tunables};

/// The symbol of the core function that the export `run` of a component lifts.
///
/// # Errors
///
/// No such export, or one that is not a function of a module in this component.
pub fn symbol_of_run(wasm: &[u8]) -> Result<String> {
    let scope = ScopeVec::new();
    let tunables = Tunables::default_host();
    let mut validator = Validator::new_with_features(WasmFeatures::all());
    let mut types = ComponentTypesBuilder::new(&validator);
    let translator = Translator::new(&tunables, &mut validator, &mut types, &scope);
    let (translation, _) = translator.translate(wasm)?;
    let component = &translation.component;
    let lifted = lifted_function(component, "run").context("no function `run` is exported")?;
    let CoreDef::Export(export) = lifted else {
        return Err(anyhow!("`run` is no function of a module"));
    };
    let ExportItem::Index(EntityIndex::Function(function)) = export.item else {
        return Err(anyhow!("`run` is not known by its index"));
    };
    let module = static_module(component, export.instance)
        .context("`run` is in a module that is imported")?;
    Ok(format!(
        "wasm[{}]::function[{}]",
        module.as_u32(),
        function.as_u32()
    ))
}

fn lifted_function<'a>(component: &'a Component, name: &str) -> Option<&'a CoreDef> {
    let mut exports = component.exports.raw_iter();
    let (_, (index, _)) = exports.find(|(key, _)| key.as_str() == name)?;
    match &component.export_items[*index] {
        Export::LiftedFunction { func, .. } => Some(func),
        _ => None,
    }
}

/// The module of the instance that initializers number `instance`.
fn static_module(
    component: &Component,
    instance: RuntimeInstanceIndex,
) -> Option<StaticModuleIndex> {
    let mut instantiated = component.initializers.iter().filter_map(|it| match it {
        GlobalInitializer::InstantiateModule(module, _) => Some(module),
        _ => None,
    });
    match instantiated.nth(instance.as_u32() as usize)? {
        InstantiateModule::Static(module, _) => Some(*module),
        InstantiateModule::Import(..) => None,
    }
}

/// What a piece of CLIF does, by number of instructions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Loads, the readonly ones among them.
    pub loads: u32,
    /// Loads of memory that does not change while the function runs.
    pub readonly_loads: u32,
    /// Stores.
    pub stores: u32,
    /// Calls of any kind.
    pub calls: u32,
    /// Instructions of any kind.
    pub instructions: u32,
}

impl Counts {
    /// Counts all instructions of `func`.
    pub fn of(func: &Function) -> Self {
        Self::of_blocks(func, func.layout.blocks())
    }

    fn of_blocks(func: &Function, blocks: impl IntoIterator<Item = Block>) -> Self {
        let mut counts = Self::default();
        for block in blocks {
            for inst in func.layout.block_insts(block) {
                counts.count(func, inst);
            }
        }
        counts
    }

    fn count(&mut self, func: &Function, inst: Inst) {
        let data = &func.dfg.insts[inst];
        let opcode = data.opcode();
        let readonly = data
            .memflags_data(&func.dfg)
            .is_some_and(|flags| flags.readonly());
        let memory = !opcode.is_call();
        self.loads += u32::from(memory && opcode.can_load());
        self.readonly_loads += u32::from(memory && opcode.can_load() && readonly);
        self.stores += u32::from(memory && opcode.can_store());
        self.calls += u32::from(opcode.is_call());
        self.instructions += 1;
    }

    /// Adds another piece.
    pub fn add(&mut self, other: &Self) {
        let Self {
            loads,
            readonly_loads,
            stores,
            calls,
            instructions,
        } = other;
        self.loads += loads;
        self.readonly_loads += readonly_loads;
        self.stores += stores;
        self.calls += calls;
        self.instructions += instructions;
    }
}

/// What one turn of the hot loop does: the largest outermost loop of `func`,
/// and in it the way round that has the fewest calls, and among those the
/// fewest instructions. Blocks that only a colder way visits do not count.
///
/// # Errors
///
/// A function without a loop.
pub fn turn(func: &Function) -> Result<Counts> {
    let cfg = ControlFlowGraph::with_function(func);
    let domtree = DominatorTree::with_function(func, &cfg);
    let mut loops = LoopAnalysis::new();
    loops.compute(func, &cfg, &domtree);
    let blocks_of = |it: Loop| {
        let blocks = func.layout.blocks();
        let inside = blocks.filter(|block| domtree.is_reachable(*block));
        inside
            .filter(|block| loops.is_in_loop(*block, it))
            .collect::<BTreeSet<_>>()
    };
    let outermost = loops.loops().filter(|it| loops.loop_parent(*it).is_none());
    let largest = outermost
        .max_by_key(|it| Counts::of_blocks(func, blocks_of(*it)).instructions)
        .context("the function has no loop")?;
    let header = loops.loop_header(largest);
    let way = cheapest_way_round(func, &cfg, header, &blocks_of(largest));
    ensure!(!way.is_empty(), "the loop has no way back to its head");
    Ok(Counts::of_blocks(func, way))
}

/// Calls first, then instructions.
type Cost = (u32, u32);

/// The blocks of the cheapest cycle through `header` inside of `body`
/// (Dijkstra's algorithm).
fn cheapest_way_round(
    func: &Function,
    cfg: &ControlFlowGraph,
    header: Block,
    body: &BTreeSet<Block>,
) -> Vec<Block> {
    let cost_of = |block| {
        let counts = Counts::of_blocks(func, [block]);
        (counts.calls, counts.instructions)
    };
    let mut open: BTreeSet<(Cost, Block, Option<Block>)> = BTreeSet::new();
    let mut came_from: BTreeMap<Block, Option<Block>> = BTreeMap::new();
    open.insert((cost_of(header), header, None));
    while let Some(((calls, instructions), block, from)) = open.pop_first() {
        if came_from.contains_key(&block) {
            continue;
        }
        came_from.insert(block, from);
        for next in cfg.succ_iter(block) {
            if next == header {
                return way_back(block, &came_from);
            }
            if body.contains(&next) && !came_from.contains_key(&next) {
                let (more_calls, more_instructions) = cost_of(next);
                let cost = (calls + more_calls, instructions + more_instructions);
                open.insert((cost, next, Some(block)));
            }
        }
    }
    Vec::new()
}

fn way_back(last: Block, came_from: &BTreeMap<Block, Option<Block>>) -> Vec<Block> {
    let steps = std::iter::successors(Some(last), |block| came_from[block]);
    steps.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(text: &str) -> Function {
        cranelift_reader::parse_functions(text).unwrap().remove(0)
    }

    #[test]
    fn the_way_round_leaves_out_what_calls() {
        let func = function(
            "function %f(i64, i32) {
                fn0 = %g(i64)
            block0(v0: i64, v1: i32):
                jump block1
            block1:
                v2 = load.i32 v0
                brif v2, block2, block3
            block2:
                call fn0(v0)
                jump block3
            block3:
                store v2, v0+8
                brif v1, block1, block4
            block4:
                return
            }",
        );
        let counts = turn(&func).unwrap();
        assert_eq!((counts.loads, counts.stores, counts.calls), (1, 1, 0));
        assert_eq!(counts.instructions, 4);
        assert_eq!(Counts::of(&func).calls, 1);
    }

    #[test]
    fn a_function_without_a_loop_has_no_turn() {
        let func = function("function %f() {\nblock0:\n    return\n}\n");
        assert!(turn(&func).is_err());
    }

    #[test]
    fn the_function_behind_run_is_found_in_its_module() {
        let text = r#"(component
            (core module $m
              (func) (func (export "go") (param i32) (result i32) local.get 0))
            (core instance $i (instantiate $m))
            (func (export "run") (param "n" u32) (result u32)
              (canon lift (core func $i "go"))))"#;
        let wasm = wat::parse_str(text).unwrap();
        assert_eq!(symbol_of_run(&wasm).unwrap(), "wasm[0]::function[1]");
    }
}
