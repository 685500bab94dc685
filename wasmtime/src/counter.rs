//! Instructions that this thread retires.

/// Counts instructions, where the machine can.
pub struct Counter(Option<Inner>);

#[cfg(target_os = "linux")]
type Inner = perf_event::Counter;
#[cfg(not(target_os = "linux"))]
type Inner = std::convert::Infallible;

impl Counter {
    /// Asks the machine for a counter.
    pub fn new() -> Self {
        Self(open())
    }

    /// Does `work`, and says how many instructions it took.
    pub fn count<T>(&mut self, work: impl FnOnce() -> T) -> (T, Option<u64>) {
        let counts = self.start();
        let done = work();
        (done, counts.then(|| self.stop()).flatten())
    }
}

impl Default for Counter {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(target_os = "linux")]
fn open() -> Option<Inner> {
    use perf_event::events::Hardware;
    perf_event::Builder::new()
        .kind(Hardware::INSTRUCTIONS)
        .build()
        .ok()
}

#[cfg(not(target_os = "linux"))]
fn open() -> Option<Inner> {
    None
}

#[cfg(target_os = "linux")]
impl Counter {
    fn start(&mut self) -> bool {
        let Some(counter) = &mut self.0 else {
            return false;
        };
        counter.reset().and_then(|()| counter.enable()).is_ok()
    }

    fn stop(&mut self) -> Option<u64> {
        let counter = self.0.as_mut()?;
        counter.disable().ok()?;
        counter.read().ok()
    }
}

#[cfg(not(target_os = "linux"))]
impl Counter {
    fn start(&mut self) -> bool {
        false
    }

    fn stop(&mut self) -> Option<u64> {
        None
    }
}
