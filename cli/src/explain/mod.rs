//! `memopt explain`: what was done to a function, what was not, and why.
//!
//! A function becomes a [`Sheet`](sheet::Sheet): its lines before and after the passes, side
//! by side, with the remarks that concern each. [`terminal`] and [`page`] show sheets, [`dot`]
//! shows graphs, and [`report`] writes the remarks alone.

pub mod command;
pub mod dot;
pub mod graph;
pub mod layout;
pub mod page;
pub mod report;
pub mod sheet;
pub mod terminal;

pub use command::{Arguments, run};
