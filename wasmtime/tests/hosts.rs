//! Hosts that look at what adapters do lazily, without the passes and with
//! them: call stacks, traps that the host survives, re-entrance, epochs.

use adapter_bench::variant::Variant;
use anyhow::{Context as _, Result};
use std::pin::pin;
use std::task::{self, Poll, Waker};
use wasmtime::component::{Component, Instance, Linker};
use wasmtime::{Config, Engine, Store, StoreContextMut, Trap, UpdateDeadline};

/// What a host has seen, in order.
#[derive(Default)]
struct Host {
    seen: Vec<u32>,
    other: Option<Instance>,
}

/// Has `drive` run the component `wat` in both ways, compares what the host has
/// seen, and returns it.
fn both_ways(
    wat: &str,
    configure: fn(&mut Config),
    drive: impl Fn(&mut Store<Host>, &Linker<Host>, &Component) -> Result<()>,
) -> Vec<u32> {
    let [on, memopt] = [Variant::On, Variant::Memopt].map(|variant| {
        let mut config = variant.config(None);
        configure(&mut config);
        let outcome = run(wat, &config, &drive).with_context(|| variant.name());
        outcome.unwrap_or_else(|why| panic!("{why:?}"))
    });
    assert_eq!(on, memopt, "the host has seen something else");
    on
}

fn run(
    wat: &str,
    config: &Config,
    drive: &impl Fn(&mut Store<Host>, &Linker<Host>, &Component) -> Result<()>,
) -> Result<Vec<u32>> {
    let engine = Engine::new(config)?;
    let component = Component::new(&engine, wat)?;
    let mut linker = Linker::<Host>::new(&engine);
    let mut root = linker.root();
    root.func_wrap("depth", |mut store, ()| {
        let depth = depth(&mut store)?;
        store.data_mut().seen.push(depth);
        Ok((depth,))
    })?;
    root.func_wrap("note", |mut store, (what,): (u32,)| {
        store.data_mut().seen.push(what);
        Ok(())
    })?;
    root.func_wrap("enter", |mut store, (argument,): (u32,)| {
        let other = store.data().other.expect("there is another instance");
        let function = other.get_typed_func::<(u32,), (u32,)>(&mut store, "run")?;
        let outcome = match function.call(&mut store, (argument,)) {
            Ok((result,)) => result,
            Err(why) => 1_000_000 + trap_number(&why),
        };
        let depth = depth(&mut store)?;
        store.data_mut().seen.extend([outcome, depth]);
        Ok((outcome,))
    })?;
    let mut store = Store::new(&engine, Host::default());
    drive(&mut store, &linker, &component)?;
    Ok(store.into_data().seen)
}

/// How many guest tasks are on the stack.
fn depth(store: &mut StoreContextMut<'_, Host>) -> wasmtime::Result<u32> {
    Ok(store.async_call_stack()?.count() as u32)
}

fn trap_number(why: &wasmtime::Error) -> u32 {
    why.downcast_ref::<Trap>().map_or(999, |trap| *trap as u32)
}

/// Calls the export `run` and notes what comes of it.
fn call_run(store: &mut Store<Host>, instance: &Instance, argument: u32) -> Result<()> {
    let function = instance.get_typed_func::<(u32,), (u32,)>(&mut *store, "run")?;
    let outcome = match function.call(&mut *store, (argument,)) {
        Ok((result,)) => result,
        Err(why) => 1_000_000 + trap_number(&why),
    };
    store.data_mut().seen.push(outcome);
    Ok(())
}

/// [`call_run`], where the guest may wait.
fn call_run_on_a_fiber(store: &mut Store<Host>, instance: &Instance, argument: u32) -> Result<()> {
    let function = instance.get_typed_func::<(u32,), (u32,)>(&mut *store, "run")?;
    let (outcome,) = finish(function.call_async(&mut *store, (argument,)))?;
    store.data_mut().seen.push(outcome);
    Ok(())
}

/// Polls a future that waits for nobody but itself.
fn finish<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = task::Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

/// Three components; each may ask the host for the depth of the call stack,
/// before and behind its own call. Bits of the argument say who asks when.
const CHAIN: &str = r#"
(component
  (import "depth" (func $depth (result u32)))
  (component $Inner
    (import "depth" (func $depth (result u32)))
    (core func $depth' (canon lower (func $depth)))
    (core module $m
      (import "" "depth" (func $depth (result i32)))
      (func (export "f") (param i32) (result i32)
        (if (i32.and (local.get 0) (i32.const 1)) (then (drop (call $depth))))
        (if (i32.and (local.get 0) (i32.const 32)) (then unreachable))
        (i32.add (local.get 0) (i32.const 1))))
    (core instance $i (instantiate $m (with "" (instance (export "depth" (func $depth'))))))
    (func (export "f") (param "x" u32) (result u32) (canon lift (core func $i "f"))))
  (component $Outer
    (import "depth" (func $depth (result u32)))
    (import "f" (func $f (param "x" u32) (result u32)))
    (core func $depth' (canon lower (func $depth)))
    (core func $f' (canon lower (func $f)))
    (core module $m
      (import "" "depth" (func $depth (result i32)))
      (import "" "f" (func $f (param i32) (result i32)))
      (func (export "f") (param i32) (result i32)
        (local $result i32)
        (if (i32.and (local.get 0) (i32.const 2)) (then (drop (call $depth))))
        (local.set $result (call $f (local.get 0)))
        (if (i32.and (local.get 0) (i32.const 4)) (then (drop (call $depth))))
        (local.get $result)))
    (core instance $i (instantiate $m (with "" (instance
      (export "depth" (func $depth')) (export "f" (func $f'))))))
    (func (export "f") (param "x" u32) (result u32) (canon lift (core func $i "f"))))
  (component $Run
    (import "depth" (func $depth (result u32)))
    (import "f" (func $f (param "x" u32) (result u32)))
    (core func $depth' (canon lower (func $depth)))
    (core func $f' (canon lower (func $f)))
    (core module $m
      (import "" "depth" (func $depth (result i32)))
      (import "" "f" (func $f (param i32) (result i32)))
      (func (export "run") (param i32) (result i32)
        (local $result i32)
        (if (i32.and (local.get 0) (i32.const 8)) (then (drop (call $depth))))
        (local.set $result (i32.add (call $f (local.get 0)) (call $f (i32.const 0))))
        (if (i32.and (local.get 0) (i32.const 16)) (then (drop (call $depth))))
        (local.get $result)))
    (core instance $i (instantiate $m (with "" (instance
      (export "depth" (func $depth')) (export "f" (func $f'))))))
    (func (export "run") (param "x" u32) (result u32) (canon lift (core func $i "run"))))
  (instance $inner (instantiate $Inner (with "depth" (func $depth))))
  (instance $outer (instantiate $Outer
    (with "depth" (func $depth)) (with "f" (func $inner "f"))))
  (instance $run (instantiate $Run
    (with "depth" (func $depth)) (with "f" (func $outer "f"))))
  (export "run" (func $run "run")))
"#;

/// One caller, one callee; the callee asks the host to enter another instance.
const ENTER: &str = r#"
(component
  (import "depth" (func $depth (result u32)))
  (import "enter" (func $enter (param "x" u32) (result u32)))
  (component $Callee
    (import "enter" (func $enter (param "x" u32) (result u32)))
    (core func $enter' (canon lower (func $enter)))
    (core module $m
      (import "" "enter" (func $enter (param i32) (result i32)))
      (func (export "f") (param i32) (result i32)
        (i32.add (call $enter (local.get 0)) (i32.const 1))))
    (core instance $i (instantiate $m (with "" (instance (export "enter" (func $enter'))))))
    (func (export "f") (param "x" u32) (result u32) (canon lift (core func $i "f"))))
  (component $Caller
    (import "depth" (func $depth (result u32)))
    (import "f" (func $f (param "x" u32) (result u32)))
    (core func $depth' (canon lower (func $depth)))
    (core func $f' (canon lower (func $f)))
    (core module $m
      (import "" "depth" (func $depth (result i32)))
      (import "" "f" (func $f (param i32) (result i32)))
      (func (export "run") (param i32) (result i32)
        (local $result i32)
        (local.set $result (call $f (local.get 0)))
        (drop (call $depth))
        (i32.add (local.get $result) (call $f (local.get 0)))))
    (core instance $i (instantiate $m (with "" (instance
      (export "depth" (func $depth')) (export "f" (func $f'))))))
    (func (export "run") (param "x" u32) (result u32) (canon lift (core func $i "run"))))
  (instance $callee (instantiate $Callee (with "enter" (func $enter))))
  (instance $caller (instantiate $Caller
    (with "depth" (func $depth)) (with "f" (func $callee "f"))))
  (export "run" (func $caller "run")))
"#;

#[test]
fn the_call_stack_is_whole_whoever_asks_for_it() {
    let seen = both_ways(
        CHAIN,
        |_| {},
        |store, linker, component| {
            let instance = linker.instantiate(&mut *store, component)?;
            for asks in 0..32 {
                call_run(store, &instance, asks)?;
            }
            Ok(())
        },
    );
    // Nobody asks; the innermost asks; the middle one before its call.
    assert_eq!(seen[..6], [2, 3, 3, 2, 4, 2], "{seen:?}");
    assert_eq!(seen.len(), 32 + 5 * 16);
}

#[test]
fn a_trap_in_a_chain_ends_all_of_it_and_closes_the_store() {
    let seen = both_ways(
        CHAIN,
        |_| {},
        |store, linker, component| {
            let instance = linker.instantiate(&mut *store, component)?;
            call_run(store, &instance, 1)?;
            call_run(store, &instance, 32)?;
            call_run(store, &instance, 1)
        },
    );
    let unreachable = 1_000_000 + Trap::UnreachableCodeReached as u32;
    let closed = 1_000_000 + Trap::CannotEnterComponent as u32;
    assert_eq!(seen, [3, 3, unreachable, closed]);
}

#[test]
fn a_trap_behind_a_forced_thread_ends_the_chain_as_well() {
    for asks in [1, 2, 8, 3, 11] {
        let seen = both_ways(
            CHAIN,
            |_| {},
            |store, linker, component| {
                let instance = linker.instantiate(&mut *store, component)?;
                call_run(store, &instance, asks | 32)
            },
        );
        let unreachable = 1_000_000 + Trap::UnreachableCodeReached as u32;
        assert_eq!(seen.last(), Some(&unreachable), "{seen:?}");
    }
}

#[test]
fn the_host_may_enter_another_instance_in_the_middle() {
    let seen = both_ways(
        ENTER,
        |_| {},
        |store, linker, component| {
            let other = Component::new(store.engine(), CHAIN)?;
            let other = linker.instantiate(&mut *store, &other)?;
            store.data_mut().other = Some(other);
            let instance = linker.instantiate(&mut *store, component)?;
            call_run(store, &instance, 1)
        },
    );
    // The depth inside, what the other instance gave, the depth behind it.
    assert_eq!(seen, [5, 3, 2, 1, 5, 3, 2, 8]);
}

#[test]
fn a_trap_of_another_instance_leaves_the_callers_thread_alone() {
    let seen = both_ways(
        ENTER,
        |_| {},
        |store, linker, component| {
            let other = Component::new(store.engine(), CHAIN)?;
            let other = linker.instantiate(&mut *store, &other)?;
            store.data_mut().other = Some(other);
            let instance = linker.instantiate(&mut *store, component)?;
            call_run(store, &instance, 32)
        },
    );
    let unreachable = 1_000_000 + Trap::UnreachableCodeReached as u32;
    let closed = 1_000_000 + Trap::CannotEnterComponent as u32;
    let both = unreachable + 1 + closed + 1;
    // The task that has trapped stays on the host's stack for that call.
    assert_eq!(seen, [unreachable, 3, 1, closed, 2, both]);
}

#[test]
fn the_host_may_not_enter_the_same_instance_again() {
    let seen = both_ways(
        ENTER,
        |_| {},
        |store, linker, component| {
            let instance = linker.instantiate(&mut *store, component)?;
            store.data_mut().other = Some(instance);
            call_run(store, &instance, 1)
        },
    );
    let refused = 1_000_000 + Trap::CannotEnterComponent as u32;
    assert_eq!(seen, [refused, 2, 1, refused, 2, 2 * (refused + 1)]);
}

/// Calls an adapter until it is interrupted.
const FOREVER: &str = r#"
(component
  (component $Callee
    (core module $m
      (func (export "f") (param i32) (result i32) (i32.add (local.get 0) (i32.const 1))))
    (core instance $i (instantiate $m))
    (func (export "f") (param "x" u32) (result u32) (canon lift (core func $i "f"))))
  (component $Run
    (import "f" (func $f (param "x" u32) (result u32)))
    (core func $f' (canon lower (func $f)))
    (core module $m
      (import "" "f" (func $f (param i32) (result i32)))
      (func (export "run") (param i32) (result i32)
        (loop $again
          (local.set 0 (call $f (local.get 0)))
          (br_if $again (local.get 0))
          (br $again))
        unreachable))
    (core instance $i (instantiate $m (with "" (instance (export "f" (func $f'))))))
    (func (export "run") (param "x" u32) (result u32) (canon lift (core func $i "run"))))
  (instance $callee (instantiate $Callee))
  (instance $run (instantiate $Run (with "f" (func $callee "f"))))
  (export "run" (func $run "run")))
"#;

#[test]
fn a_loop_of_adapter_calls_is_interrupted_by_an_epoch() {
    let seen = both_ways(
        FOREVER,
        |config| {
            config.epoch_interruption(true);
        },
        |store, linker, component| {
            store.set_epoch_deadline(1);
            // Twice the host looks at the stack and lets the guest go on.
            store.epoch_deadline_callback(|mut store| {
                let depth = depth(&mut store)?;
                let seen = &mut store.data_mut().seen;
                seen.push(u32::from(depth >= 1));
                Ok(match seen.len() {
                    1 | 2 => UpdateDeadline::Continue(1),
                    _ => UpdateDeadline::Interrupt,
                })
            });
            let instance = linker.instantiate(&mut *store, component)?;
            let engine = store.engine().clone();
            let (stop, stopped) = std::sync::mpsc::channel::<()>();
            let ticks = std::thread::spawn(move || {
                while stopped
                    .recv_timeout(std::time::Duration::from_millis(2))
                    .is_err()
                {
                    engine.increment_epoch();
                }
            });
            let outcome = call_run(store, &instance, 0);
            stop.send(()).context("the ticker is gone")?;
            ticks.join().expect("the ticker does not panic");
            outcome
        },
    );
    assert_eq!(seen, [1, 1, 1, 1_000_000 + Trap::Interrupt as u32]);
}

/// The same callee, called by a caller that waits and by one that does not.
const ASYNC: &str = r#"
(component
  (import "depth" (func $depth (result u32)))
  (component $Callee
    (import "depth" (func $depth (result u32)))
    (core func $depth' (canon lower (func $depth)))
    (core module $m
      (import "" "depth" (func $depth (result i32)))
      (func (export "f") (param i32) (result i32)
        (if (i32.and (local.get 0) (i32.const 1)) (then (drop (call $depth))))
        (i32.add (local.get 0) (i32.const 5))))
    (core instance $i (instantiate $m (with "" (instance (export "depth" (func $depth'))))))
    (func (export "f") (param "x" u32) (result u32) (canon lift (core func $i "f")))
    (func (export "g") async (param "x" u32) (result u32) (canon lift (core func $i "f"))))
  (component $Run
    (import "depth" (func $depth (result u32)))
    (import "f" (func $f (param "x" u32) (result u32)))
    (import "g" (func $g async (param "x" u32) (result u32)))
    (core module $memory (memory (export "memory") 1))
    (core instance $memory (instantiate $memory))
    (core func $depth' (canon lower (func $depth)))
    (core func $sync (canon lower (func $f)))
    (core func $async (canon lower (func $g) async (memory (core memory $memory "memory"))))
    (core module $m
      (import "" "memory" (memory 1))
      (import "" "depth" (func $depth (result i32)))
      (import "" "sync" (func $sync (param i32) (result i32)))
      (import "" "async" (func $async (param i32 i32) (result i32)))
      (func (export "run") (param i32) (result i32)
        (local $status i32) (local $sum i32)
        (local.set $sum (call $sync (local.get 0)))
        (local.set $status (call $async (local.get 0) (i32.const 64)))
        (local.set $sum (i32.add (local.get $sum) (call $sync (local.get 0))))
        (drop (call $depth))
        (i32.add
          (i32.mul (i32.const 10000) (local.get $status))
          (i32.add
            (i32.mul (i32.const 100) (i32.load (i32.const 64)))
            (local.get $sum)))))
    (core instance $i (instantiate $m (with "" (instance
      (export "memory" (memory $memory "memory"))
      (export "depth" (func $depth'))
      (export "sync" (func $sync))
      (export "async" (func $async))))))
    (func (export "run") (param "x" u32) (result u32) (canon lift (core func $i "run"))))
  (instance $callee (instantiate $Callee (with "depth" (func $depth))))
  (instance $run (instantiate $Run
    (with "depth" (func $depth))
    (with "f" (func $callee "f"))
    (with "g" (func $callee "g"))))
  (export "run" (func $run "run")))
"#;

#[test]
fn callers_that_wait_and_callers_that_do_not_share_a_callee() {
    let seen = both_ways(
        ASYNC,
        |_| {},
        |store, linker, component| {
            let instance = finish(linker.instantiate_async(&mut *store, component))?;
            call_run_on_a_fiber(store, &instance, 2)?;
            call_run_on_a_fiber(store, &instance, 1)
        },
    );
    // The status of the call that does not wait is "returned".
    assert_eq!(seen, [1, 20_000 + 714, 2, 2, 2, 1, 20_000 + 612]);
}
