//! A progress bar for long inputs, on standard error.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal as _, stderr};
use std::time::Duration;

/// Shows how far the work on one input is; silent where nobody watches.
pub struct Progress {
    bar: ProgressBar,
}

/// A stage of fewer steps is over before anyone could read the bar.
const WORTH_A_BAR: usize = 100;

impl Progress {
    /// A bar for the input called `name`.
    pub fn new(name: &str) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        bar.set_prefix(name.to_owned());
        Self { bar }
    }

    /// Begins a stage of `steps` steps, or of nobody knows how many.
    pub fn start(&self, stage: &'static str, steps: Option<usize>) {
        let long = steps.is_none_or(|steps| steps >= WORTH_A_BAR);
        let draw = match long && stderr().is_terminal() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        self.bar.set_draw_target(draw);
        let template = match steps {
            Some(_) => "{prefix}: {msg} {wide_bar} {pos}/{len}",
            None => "{prefix}: {msg} {spinner}",
        };
        let style = ProgressStyle::with_template(template);
        self.bar
            .set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        self.bar.set_message(stage);
        self.bar.set_position(0);
        match steps {
            Some(steps) => {
                self.bar.disable_steady_tick();
                self.bar.set_length(steps as u64);
            }
            None => self.bar.enable_steady_tick(Duration::from_millis(100)),
        }
    }

    /// One step of the stage is done.
    pub fn step(&self) {
        self.bar.inc(1);
    }

    /// Runs `print` without the bar in its way.
    pub fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
