//! A host for any component: it answers every call, and remembers them all.

use anyhow::{Result, bail};
use std::hash::{DefaultHasher, Hash, Hasher};
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker, LinkerInstance, Type, Val};

/// What the host has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Calls of any function.
    pub calls: u64,
    /// Their names and arguments, in order.
    pub digest: u64,
}

impl Seen {
    fn record(&mut self, name: &str, arguments: &[Val]) {
        let mut hasher = DefaultHasher::new();
        (self.digest, name, format!("{arguments:?}")).hash(&mut hasher);
        self.digest = hasher.finish();
        self.calls += 1;
    }
}

/// A linker that gives `component` every function that it imports.
///
/// An answer is made of the number of calls so far, so that a component which
/// calls once too often or in another order computes something else.
///
/// # Errors
///
/// An import that is no function or instance of functions, or whose result is
/// neither a number nor a truth value.
pub fn linker(component: &Component) -> Result<Linker<Seen>> {
    let engine = component.engine();
    let mut linker = Linker::new(engine);
    for (name, import) in component.component_type().imports(engine) {
        match import.ty {
            ComponentItem::ComponentInstance(instance) => {
                let mut place = linker.instance(name)?;
                for (inner, export) in instance.exports(engine) {
                    define(&mut place, inner, &export.ty)?;
                }
            }
            item => define(&mut linker.root(), name, &item)?,
        }
    }
    Ok(linker)
}

fn define(place: &mut LinkerInstance<'_, Seen>, name: &str, item: &ComponentItem) -> Result<()> {
    let ComponentItem::ComponentFunc(ty) = item else {
        bail!("the import `{name}` is no function");
    };
    let types: Vec<Type> = ty.results().collect();
    if let Some(ty) = types.iter().find(|ty| answer(ty, 0).is_none()) {
        bail!("there is no answer to `{name}`: its result is {ty:?}");
    }
    let called = name.to_owned();
    place.func_new(name, move |mut store, _, arguments, results| {
        let seen = store.data_mut();
        seen.record(&called, arguments);
        for (ty, result) in types.iter().zip(results) {
            if let Some(value) = answer(ty, seen.calls) {
                *result = value;
            }
        }
        Ok(())
    })?;
    Ok(())
}

/// The answer to call number `count`.
fn answer(ty: &Type, count: u64) -> Option<Val> {
    Some(match ty {
        Type::Bool => Val::Bool(count % 2 == 1),
        Type::U8 => Val::U8(count as u8),
        Type::U16 => Val::U16(count as u16),
        Type::U32 => Val::U32(count as u32),
        Type::U64 => Val::U64(count),
        Type::S8 => Val::S8(count as i8),
        Type::S16 => Val::S16(count as i16),
        Type::S32 => Val::S32(count as i32),
        Type::S64 => Val::S64(count as i64),
        Type::Float32 => Val::Float32(count as f32),
        Type::Float64 => Val::Float64(count as f64),
        _ => return None,
    })
}
