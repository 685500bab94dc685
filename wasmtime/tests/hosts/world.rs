//! What every test of this program has: a host that notes what it sees, and a
//! component that runs in it without the passes and with them.

use crate::api::depth;
use adapter_bench::variant::Variant;
use anyhow::{Context as _, Result};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{self, Poll, Waker};
use wasmtime::component::{
    Component, ComponentNamedList, Instance, InstancePre, Lift, Linker, Lower, Resource,
    ResourceType,
};
use wasmtime::{Config, Engine, Store, StoreContextMut, Trap};

/// What a host has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// That many guest tasks were on the call stack.
    Depth(u32),
    /// A guest passed this to `note`.
    Note(u32),
    /// A call of a guest, or an instantiation, came back.
    Returned(u32),
    /// It ended in a trap.
    Trapped(Trap),
    /// It ended in an error that is no trap.
    Failed,
    /// It did not end.
    Waiting,
}

/// What the host has for a guest that asks it to enter another one.
#[derive(Clone)]
pub enum Other {
    Instance(Instance),
    /// To be instantiated each time: its start function runs.
    New(InstancePre<Host>),
}

/// The data of a store.
#[derive(Default)]
pub struct Host {
    pub seen: Vec<Event>,
    pub other: Option<Other>,
    /// Is the sleep of guests that called `sleep` over?
    pub awake: Arc<AtomicBool>,
}

/// The resource type `t`. The destructor enters another instance and drops its
/// trap; the representation says with which argument.
pub struct T;

/// A component, its linker and a store.
pub struct World {
    pub store: Store<Host>,
    pub linker: Linker<Host>,
    pub component: Component,
}

/// Has `drive` run the component `wat` without the passes and with them, checks
/// that the host has seen the same, and returns it.
pub fn both_ways(
    wat: &str,
    configure: impl Fn(&mut Config),
    drive: impl Fn(&mut World) -> Result<()>,
) -> Vec<Event> {
    let [on, memopt] = [Variant::On, Variant::Memopt].map(|variant| {
        let mut config = variant.config(None);
        configure(&mut config);
        let outcome = World::new(wat, &config).and_then(|mut world| {
            drive(&mut world)?;
            Ok(world.store.into_data().seen)
        });
        let outcome = outcome.with_context(|| variant.name());
        outcome.unwrap_or_else(|why| panic!("{why:?}"))
    });
    assert_eq!(on, memopt, "the host has seen something else");
    on
}

impl World {
    fn new(wat: &str, config: &Config) -> Result<Self> {
        let engine = Engine::new(config)?;
        Ok(Self {
            component: Component::new(&engine, wat)?,
            linker: linker(&engine)?,
            store: Store::new(&engine, Host::default()),
        })
    }

    /// Instantiates the component.
    pub fn instantiate(&mut self) -> Result<Instance> {
        Ok(self.linker.instantiate(&mut self.store, &self.component)?)
    }

    /// The same, where the guest may wait.
    pub fn instantiate_on_a_fiber(&mut self) -> Result<Instance> {
        let instance = self
            .linker
            .instantiate_async(&mut self.store, &self.component);
        Ok(finish(instance)?)
    }

    /// Instantiates the component `wat` as that which guests have the host enter.
    pub fn set_other(&mut self, wat: &str) -> Result<()> {
        let other = Component::new(self.store.engine(), wat)?;
        let other = self.linker.instantiate(&mut self.store, &other)?;
        self.store.data_mut().other = Some(Other::Instance(other));
        Ok(())
    }

    /// Has guests make the host instantiate the component `wat`.
    pub fn set_other_to_be_instantiated(&mut self, wat: &str) -> Result<()> {
        let other = Component::new(self.store.engine(), wat)?;
        let other = self.linker.instantiate_pre(&other)?;
        self.store.data_mut().other = Some(Other::New(other));
        Ok(())
    }

    /// Calls the export `run` and notes what comes of it.
    pub fn call_run(&mut self, instance: &Instance, argument: u32) -> Result<()> {
        self.call_run_with(instance, (argument,))
    }

    /// [`Self::call_run`] with any arguments.
    pub fn call_run_with<P>(&mut self, instance: &Instance, arguments: P) -> Result<()>
    where
        P: ComponentNamedList + Lower,
    {
        let run = instance.get_typed_func::<P, (u32,)>(&mut self.store, "run")?;
        let outcome = run.call(&mut self.store, arguments);
        self.note(outcome.map(|(result,)| result));
        Ok(())
    }

    /// [`Self::call_run`], where the guest may wait.
    pub fn call_run_on_a_fiber(&mut self, instance: &Instance, argument: u32) -> Result<()> {
        let run = instance.get_typed_func::<(u32,), (u32,)>(&mut self.store, "run")?;
        let outcome = finish(run.call_async(&mut self.store, (argument,)));
        self.note(outcome.map(|(result,)| result));
        Ok(())
    }

    /// Notes how a call has ended.
    pub fn note(&mut self, outcome: wasmtime::Result<u32>) {
        let event = ending(&outcome);
        self.store.data_mut().seen.push(event);
    }

    /// Asks for the call stack from outside of all guests.
    pub fn note_depth(&mut self) -> Result<()> {
        note_depth(&mut wasmtime::AsContextMut::as_context_mut(&mut self.store))?;
        Ok(())
    }

    /// Lets the guests that called `sleep` go on.
    pub fn wake(&self) {
        self.store.data().awake.store(true, SeqCst);
    }
}

fn linker(engine: &Engine) -> Result<Linker<Host>> {
    let mut linker = Linker::<Host>::new(engine);
    let mut root = linker.root();
    root.func_wrap("depth", |mut store, ()| Ok((note_depth(&mut store)?,)))?;
    root.func_wrap(
        "note",
        |mut store: StoreContextMut<'_, Host>, (what,): (u32,)| {
            store.data_mut().seen.push(Event::Note(what));
            Ok(())
        },
    )?;
    root.func_wrap("enter", |mut store, (argument,): (u32,)| {
        let outcome = enter_other(&mut store, argument);
        note_depth(&mut store)?;
        Ok((outcome,))
    })?;
    root.func_wrap("tick", |store: StoreContextMut<'_, Host>, ()| {
        store.engine().increment_epoch();
        Ok(())
    })?;
    root.resource("t", ResourceType::host::<T>(), |mut store, argument| {
        enter_other(&mut store, argument);
        Ok(())
    })?;
    root.func_wrap("make", |_, (argument,): (u32,)| {
        Ok((Resource::<T>::new_own(argument),))
    })?;
    root.func_wrap_concurrent("sleep", |accessor, ()| {
        let awake = accessor.with(|mut access| access.get().awake.clone());
        Box::pin(async move { Ok(sleep(&awake).await) })
    })?;
    root.func_wrap_concurrent("text", |_, ()| {
        Box::pin(async move {
            wait(2).await;
            Ok(("some text".to_owned(),))
        })
    })?;
    root.func_wrap_concurrent("nap", |_, ()| Box::pin(async move { Ok(wait(5).await) }))?;
    root.func_wrap_async("pause", |store: StoreContextMut<'_, Host>, ()| {
        let awake = store.data().awake.clone();
        Box::new(async move { Ok(sleep(&awake).await) })
    })?;
    Ok(linker)
}

async fn sleep(awake: &AtomicBool) {
    std::future::poll_fn(|context| {
        if awake.load(SeqCst) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Is ready when it is polled for the last of so many times.
pub async fn wait(mut polls: u32) {
    std::future::poll_fn(|context| {
        polls -= 1;
        if polls == 0 {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Calls `run` of the other instance, or instantiates it, and drops the trap: the
/// guest below goes on. Returns what `run` has, and a million for a trap.
pub fn enter_other(store: &mut StoreContextMut<'_, Host>, argument: u32) -> u32 {
    let outcome = match store.data().other.clone() {
        None => return 0,
        Some(Other::New(other)) => other.instantiate(&mut *store).map(|_| 0),
        Some(Other::Instance(other)) => call_with(store, &other, (argument,))
            .or_else(|| call_with(store, &other, ("some text".to_owned(),)))
            .expect("the other instance has a function `run`"),
    };
    let event = ending(&outcome);
    store.data_mut().seen.push(event);
    outcome.unwrap_or(1_000_000)
}

/// `None` if `run` has another type.
fn call_with<P>(
    store: &mut StoreContextMut<'_, Host>,
    instance: &Instance,
    arguments: P,
) -> Option<wasmtime::Result<u32>>
where
    P: ComponentNamedList + Lower + Lift,
{
    let run = instance
        .get_typed_func::<P, (u32,)>(&mut *store, "run")
        .ok()?;
    let outcome = run.call(&mut *store, arguments);
    Some(outcome.map(|(result,)| result))
}

fn ending(outcome: &wasmtime::Result<u32>) -> Event {
    match outcome {
        Ok(result) => Event::Returned(*result),
        Err(why) => why
            .downcast_ref()
            .map_or(Event::Failed, |trap| Event::Trapped(*trap)),
    }
}

/// Notes how many guest tasks are on the stack.
pub fn note_depth(store: &mut StoreContextMut<'_, Host>) -> wasmtime::Result<u32> {
    let depth = depth(store)?;
    store.data_mut().seen.push(Event::Depth(depth));
    Ok(depth)
}

/// Polls a future that waits for nobody but itself.
pub fn finish<F: Future>(future: F) -> F::Output {
    poll(future, 100_000).expect("the future ends")
}

/// Polls a future as often as that, and drops it.
pub fn poll<F: Future>(future: F, times: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut context = task::Context::from_waker(Waker::noop());
    for _ in 0..times {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
    }
    None
}
