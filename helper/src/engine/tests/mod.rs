//! The engine on fakes of all its ports.
