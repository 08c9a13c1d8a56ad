//! Waiting for an object to be as wanted, by one of its signals.

use std::{
    cell::RefCell,
    future::poll_fn,
    rc::Rc,
    task::{Poll, Waker},
};

use gtk::{glib, prelude::*};

/// Listens to an object until it is dropped: also where the one who waits is made to end.
pub struct Changes {
    object: glib::Object,
    handler: Option<glib::SignalHandlerId>,
    waker: Rc<RefCell<Option<Waker>>>,
}

impl Changes {
    /// `connect` connects its argument to the signal.
    pub fn new<O: IsA<glib::Object>>(
        object: &O,
        connect: impl FnOnce(&O, Box<dyn Fn()>) -> glib::SignalHandlerId,
    ) -> Self {
        let waker: Rc<RefCell<Option<Waker>>> = Rc::default();
        let woken = waker.clone();
        let changed = move || {
            if let Some(waker) = woken.take() {
                waker.wake();
            }
        };
        Self {
            handler: Some(connect(object, Box::new(changed))),
            object: object.clone().upcast(),
            waker,
        }
    }

    /// Waits until `check` finds what is wanted.
    pub async fn until<T>(&self, check: impl Fn() -> Option<T>) -> T {
        poll_fn(|context| match check() {
            Some(found) => Poll::Ready(found),
            None => {
                self.waker.replace(Some(context.waker().clone()));
                Poll::Pending
            }
        })
        .await
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        if let Some(handler) = self.handler.take() {
            self.object.disconnect(handler);
        }
    }
}
