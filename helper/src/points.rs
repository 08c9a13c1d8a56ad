//! Points of what a caller asked for at which a test kills this process: before and after every step, and at every await. In debug builds only: in others
//! nothing of it is there, and what calls it compiles to nothing.

#[cfg(debug_assertions)]
mod debug;

#[cfg(debug_assertions)]
pub use debug::{during, reached};

/// Which side of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Before,
    After,
}

/// Carries out what was asked for.
#[cfg(not(debug_assertions))]
pub async fn during<T>(_asked: &'static str, work: impl Future<Output = T>) -> T {
    work.await
}

/// Nothing.
#[cfg(not(debug_assertions))]
pub fn reached(_step: &'static str, _side: Side) {}

/// Carries out a step between its two points.
pub async fn step<T>(name: &'static str, work: impl Future<Output = T>) -> T {
    reached(name, Side::Before);
    let done = work.await;
    reached(name, Side::After);
    done
}
