//! What the functions of WebAssembly are called where they come from.
//!
//! Wasmtime numbers modules and functions: `wasm[1]::function[2]`. A module has
//! names for some functions and exports others; a component may have a name; and
//! the adapters between components have none at all, but lead from one function
//! with a name to another. They are told by what the component instantiates
//! them with.

use crate::opt::wasm::is_component;
use anyhow::{Result, anyhow};
use std::collections::{BTreeMap, BTreeSet};
use wasmtime_environ::component::{
    Component, ComponentTypesBuilder, CoreDef, CoreExport, ExportItem, GlobalInitializer,
    InstantiateModule, Translator,
};
use wasmtime_environ::wasmparser::{
    self, ComponentName, Encoding, KnownCustom, Name, Operator, Parser, Payload, TypeRef,
    Validator, WasmFeatures,
};
use wasmtime_environ::{EntityIndex, ScopeVec, Tunables};

/// Names by symbol.
#[derive(Debug, Default)]
pub struct Names(BTreeMap<String, String>);

/// A function: its module and its index in it, as Wasmtime numbers them.
type Function = (usize, u32);

impl Names {
    /// The names of the functions in `wasm`; none in what is not understood, because
    /// nothing but the output depends on them.
    ///
    /// `calls` says whether the CLIF of the function with the first symbol calls
    /// that with the second.
    pub fn of(wasm: &[u8], calls: &dyn Fn(&str, &str) -> bool) -> Self {
        let names = match is_component(wasm) {
            true => of_component(wasm, calls),
            false => of_module(wasm),
        };
        names.unwrap_or_default()
    }

    /// The name of the function with this symbol.
    pub fn get(&self, symbol: &str) -> Option<&str> {
        let own = self.0.get(symbol);
        // Wasmtime adds the name that it knows: `wasm[0]::function[1]::fib`.
        let numbers = || {
            symbol
                .match_indices("::")
                .nth(1)
                .map(|(at, _)| &symbol[..at])
        };
        own.or_else(|| self.0.get(numbers()?)).map(String::as_str)
    }
}

fn symbol((module, function): Function) -> String {
    format!("wasm[{module}]::function[{function}]")
}

fn of_module(wasm: &[u8]) -> Result<Names> {
    let module = Module::read(wasm)?;
    let names = module.names.into_iter();
    Ok(Names(
        names
            .map(|(index, name)| (symbol((0, index)), name))
            .collect(),
    ))
}

/// What of a module is of interest here.
#[derive(Default)]
struct Module {
    name: Option<String>,
    /// From the name section, or else what the function is exported as.
    names: BTreeMap<u32, String>,
    /// Which function each import is, by its place among the imports.
    imports: Vec<Option<u32>>,
    /// The names of its imports.
    fields: Vec<(String, String)>,
    /// The functions that call an imported function.
    callers: BTreeMap<u32, BTreeSet<u32>>,
}

impl Module {
    fn read(wasm: &[u8]) -> Result<Self> {
        let mut module = Self::default();
        let mut functions = 0;
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::ImportSection(reader) => {
                    for import in reader.into_imports() {
                        let import = import?;
                        let is_function =
                            matches!(import.ty, TypeRef::Func(_) | TypeRef::FuncExact(_));
                        module.imports.push(is_function.then_some(functions));
                        let field = (import.module.to_owned(), import.name.to_owned());
                        module.fields.push(field);
                        functions += u32::from(is_function);
                    }
                }
                Payload::ExportSection(reader) => {
                    for export in reader {
                        let export = export?;
                        if export.kind == wasmparser::ExternalKind::Func {
                            let name = export.name.to_owned();
                            module.names.entry(export.index).or_insert(name);
                        }
                    }
                }
                Payload::CodeSectionEntry(body) => {
                    module.body(functions, &body)?;
                    functions += 1;
                }
                Payload::CustomSection(section) => {
                    if let KnownCustom::Name(reader) = section.as_known() {
                        module.name_section(reader)?;
                    }
                }
                _ => {}
            }
        }
        Ok(module)
    }

    /// Notes which functions the body of `function` calls.
    fn body(&mut self, function: u32, body: &wasmparser::FunctionBody<'_>) -> Result<()> {
        for operator in body.get_operators_reader()? {
            if let Operator::Call { function_index } | Operator::ReturnCall { function_index } =
                operator?
            {
                let callers = self.callers.entry(function_index).or_default();
                callers.insert(function);
            }
        }
        Ok(())
    }

    fn name_section(&mut self, reader: wasmparser::NameSectionReader<'_>) -> Result<()> {
        for names in reader {
            match names? {
                Name::Module { name, .. } => self.name = Some(name.to_owned()),
                Name::Function(functions) => {
                    for naming in functions {
                        let naming = naming?;
                        self.names.insert(naming.index, naming.name.to_owned());
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn of_component(wasm: &[u8], calls: &dyn Fn(&str, &str) -> bool) -> Result<Names> {
    let scope = ScopeVec::new();
    let tunables = Tunables::default_host();
    let mut validator = Validator::new_with_features(WasmFeatures::all());
    let mut types = ComponentTypesBuilder::new(&validator);
    let translator = Translator::new(&tunables, &mut validator, &mut types, &scope);
    let translated = translator.translate(wasm);
    let (translation, modules) = translated.map_err(|error| anyhow!("{error:#}"))?;
    let modules: Vec<_> = modules
        .values()
        .map(|module| Module::read(module.wasm))
        .collect::<Result<_>>()?;
    let owners = owners(wasm)?;
    let mut names = BTreeMap::new();
    for (number, module) in modules.iter().enumerate().take(owners.len()) {
        let owner = owners[number].clone().or_else(|| module.name.clone());
        let owner = owner.unwrap_or_else(|| format!("wasm[{number}]"));
        for (index, name) in &module.names {
            names.insert((number, *index), format!("{owner}.{name}"));
        }
    }
    let wiring = Wiring::of(&translation.component, modules.len());
    let adapters = (owners.len()..modules.len()).flat_map(|number| {
        let functions = modules[number].names.iter();
        functions.map(move |(index, name)| ((number, *index), name.clone()))
    });
    let adapters: Vec<_> = adapters
        .filter_map(|(adapter, export)| {
            let name = wiring.describe(adapter, &export, &modules, &names, calls)?;
            Some((adapter, name))
        })
        .collect();
    names.extend(adapters);
    let names = names.into_iter();
    Ok(Names(
        names
            .map(|(function, name)| (symbol(function), name))
            .collect(),
    ))
}

/// The name of the component that each module is in, in the order of the modules.
/// Adapters are not among them.
fn owners(wasm: &[u8]) -> Result<Vec<Option<String>>> {
    let mut open: Vec<Option<usize>> = Vec::new();
    let mut names: Vec<Option<String>> = Vec::new();
    let mut modules: Vec<Option<usize>> = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::Version { encoding, .. } => {
                if encoding == Encoding::Component {
                    open.push(Some(names.len()));
                    names.push(None);
                } else {
                    modules.push(open.last().copied().flatten());
                    open.push(None);
                }
            }
            Payload::End(_) => drop(open.pop()),
            Payload::CustomSection(section) => {
                let (KnownCustom::ComponentName(reader), Some(Some(component))) =
                    (section.as_known(), open.last())
                else {
                    continue;
                };
                for name in reader {
                    if let ComponentName::Component { name, .. } = name? {
                        names[*component] = Some(name.to_owned());
                    }
                }
            }
            _ => {}
        }
    }
    let name = |component: Option<usize>| names[component?].clone();
    Ok(modules.into_iter().map(name).collect())
}

/// What each module is instantiated with.
struct Wiring<'c> {
    /// The module of each instance, if it is known.
    instances: Vec<Option<usize>>,
    /// What a module's imports are, for one that is instantiated once.
    arguments: Vec<Option<&'c [CoreDef]>>,
}

impl<'c> Wiring<'c> {
    fn of(component: &'c Component, modules: usize) -> Self {
        let mut wiring = Self {
            instances: Vec::new(),
            arguments: vec![None; modules],
        };
        let mut seen = BTreeSet::new();
        for initializer in &component.initializers {
            let GlobalInitializer::InstantiateModule(module, _) = initializer else {
                continue;
            };
            let InstantiateModule::Static(module, arguments) = module else {
                wiring.instances.push(None);
                continue;
            };
            let module = module.as_u32() as usize;
            wiring.instances.push(Some(module));
            let once = seen.insert(module);
            wiring.arguments[module] = once.then_some(&**arguments);
        }
        wiring
    }

    /// The function that `def` is.
    fn function(&self, def: &CoreDef) -> Option<Function> {
        let CoreDef::Export(CoreExport { instance, item }) = def else {
            return None;
        };
        let ExportItem::Index(EntityIndex::Function(function)) = item else {
            return None;
        };
        let module = *self.instances.get(instance.as_u32() as usize)?;
        Some((module?, function.as_u32()))
    }

    /// `adapter B -> A.f, inlined into B.g`.
    fn describe(
        &self,
        adapter: Function,
        export: &str,
        modules: &[Module],
        names: &BTreeMap<Function, String>,
        calls: &dyn Fn(&str, &str) -> bool,
    ) -> Option<String> {
        let name_of = |function| {
            let name = names.get(&function).cloned();
            name.unwrap_or_else(|| symbol(function))
        };
        // Adapters import what they call under their own name.
        let fields = &modules[adapter.0].fields;
        let callee = fields
            .iter()
            .position(|(module, field)| module == "callee" && field == export);
        let callee = self.function(self.arguments[adapter.0]?.get(callee?)?)?;
        let mut from = BTreeSet::new();
        let mut inlined = BTreeSet::new();
        for (number, module) in modules.iter().enumerate() {
            for (place, def) in self.arguments[number].into_iter().flatten().enumerate() {
                let (Some(import), true) = (
                    module.imports.get(place).copied().flatten(),
                    self.function(def) == Some(adapter),
                ) else {
                    continue;
                };
                for caller in module.callers.get(&import).into_iter().flatten() {
                    let caller = (number, *caller);
                    let name = name_of(caller);
                    from.insert(owner(&name).to_owned());
                    if !calls(&symbol(caller), &symbol(adapter)) {
                        inlined.insert(name);
                    }
                }
            }
        }
        let from: Vec<_> = from.into_iter().collect();
        let inlined: Vec<_> = inlined.into_iter().collect();
        let into = match inlined.is_empty() {
            true => String::new(),
            false => format!(", inlined into {}", inlined.join(" and ")),
        };
        let from = from.join(" and ");
        let from = if from.is_empty() { "nobody" } else { &from };
        Some(format!("adapter {from} -> {}{into}", name_of(callee)))
    }
}

/// What stands before the last dot, if anything does.
fn owner(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(owner, _)| owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = r#"
(component
  (component $A
    (core module $M (func (export "f'") (param i32) (result i32) (local.get 0)))
    (core instance $m (instantiate $M))
    (func (export "f") (param "x" u32) (result u32) (canon lift (core func $m "f'"))))
  (component $B
    (import "f" (func $f (param "x" u32) (result u32)))
    (core func $f' (canon lower (func $f)))
    (core module $N
      (import "" "f'" (func $f' (param i32) (result i32)))
      (func $g (export "g'") (param i32) (result i32) (call $f' (local.get 0))))
    (core instance $n (instantiate $N (with "" (instance (export "f'" (func $f'))))))
    (func (export "g") (param "x" u32) (result u32) (canon lift (core func $n "g'"))))
  (instance $a (instantiate $A))
  (instance $b (instantiate $B (with "f" (func $a "f"))))
  (export "g" (func $b "g")))"#;

    fn adapter(text: &str, calls: bool) -> Option<String> {
        let names = Names::of(&wat::parse_str(text).unwrap(), &|_, _| calls);
        let found = names.0.values().find(|name| name.starts_with("adapter"));
        found.cloned()
    }

    #[test]
    fn functions_have_the_names_of_their_components() {
        let names = Names::of(&wat::parse_str(TWO).unwrap(), &|_, _| false);
        assert_eq!(names.get("wasm[0]::function[0]"), Some("A.f'"));
        assert_eq!(names.get("wasm[1]::function[1]::g"), Some("B.g"));
        assert_eq!(names.get("signatures[0]::wasm_to_array_trampoline"), None);
    }

    #[test]
    fn an_adapter_is_told_by_what_it_connects() {
        let inlined = adapter(TWO, false);
        assert_eq!(
            inlined.as_deref(),
            Some("adapter B -> A.f', inlined into B.g")
        );
        assert_eq!(adapter(TWO, true).as_deref(), Some("adapter B -> A.f'"));
    }

    #[test]
    fn a_module_names_its_functions() {
        let text = "(module (func) (func $a) (func (export \"b\")))";
        let names = Names::of(&wat::parse_str(text).unwrap(), &|_, _| false);
        assert_eq!(names.get("wasm[0]::function[0]"), None);
        assert_eq!(names.get("wasm[0]::function[1]::a"), Some("a"));
        assert_eq!(names.get("wasm[0]::function[2]"), Some("b"));
    }
}
