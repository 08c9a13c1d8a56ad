//! Ring lab: who may ask. The running helper, on a bus where the lab itself answers for polkit, called message by message: every member of every
//! interface, by every kind of caller, with every kind of answer.

mod allowed;
mod autostart;
mod contract;
mod denied;
mod foreign;
mod hanging;
mod inputs;
mod load;
mod real;
mod scene;
mod signals;
mod table;
