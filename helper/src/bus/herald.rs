//! Tells subscribers what became of what they own: unicast, only differences, at most ten signals a second each. It knows
//! whom to tell from the grant of `Subscribe`, and tells nobody else.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use lonewire_api::names::{APPS_INTERFACE, OBJECT_PATH, TUNNELS_INTERFACE};
use lonewire_core::name::Id;
use tokio::{
    sync::{broadcast, mpsc, oneshot},
    time::Instant,
};
use zbus::Connection;

use super::{
    activity::{Activity, Use},
    dict::{self, Dict},
};
use crate::{
    auth::{Caller, Owner},
    engine::view::{AppInfo, Event, TunnelInfo},
    presence,
};

/// Signals to one subscriber within [`WINDOW`].
const MOST: usize = 10;
const WINDOW: Duration = Duration::from_secs(1);

/// A thing as it was last heard of.
#[derive(Debug, Clone)]
pub enum Thing {
    Tunnel(TunnelInfo),
    App(AppInfo),
}

impl Thing {
    fn dict(&self) -> Dict {
        match self {
            Self::Tunnel(info) => dict::tunnel(info),
            Self::App(info) => dict::app(info),
        }
    }

    fn interface(&self) -> &'static str {
        match self {
            Self::Tunnel(_) => TUNNELS_INTERFACE,
            Self::App(_) => APPS_INTERFACE,
        }
    }

    fn words(&self) -> [&'static str; 3] {
        match self {
            Self::Tunnel(_) => ["TunnelAdded", "TunnelChanged", "TunnelRemoved"],
            Self::App(_) => ["AppAdded", "AppChanged", "AppRemoved"],
        }
    }
}

enum Order {
    Subscribe {
        caller: Caller,
        things: Vec<(Id, Thing)>,
        done: oneshot::Sender<()>,
    },
    Unsubscribe {
        sender: String,
        done: Option<oneshot::Sender<()>>,
    },
}

/// Where subscriptions are made.
#[derive(Debug, Clone)]
pub struct Herald(mpsc::Sender<Order>);

impl Herald {
    /// Starts the task that tells.
    pub fn start(bus: &Connection, events: broadcast::Receiver<Event>, activity: Activity) -> Self {
        let (orders, inbox) = mpsc::channel(64);
        let herald = Self(orders);
        let state = State {
            bus: bus.clone(),
            herald: herald.clone(),
            activity,
            known: HashMap::new(),
            subscribers: HashMap::new(),
        };
        drop(tokio::spawn(state.run(inbox, events)));
        herald
    }

    /// From now on the caller is told about what is its own; `things` is all of it as it stands.
    pub async fn subscribe(&self, caller: Caller, things: Vec<(Id, Thing)>) {
        let (done, seen) = oneshot::channel();
        let _ = self
            .0
            .send(Order::Subscribe {
                caller,
                things,
                done,
            })
            .await;
        let _ = seen.await;
    }

    pub async fn unsubscribe(&self, sender: String) {
        let (done, seen) = oneshot::channel();
        let _ = self
            .0
            .send(Order::Unsubscribe {
                sender,
                done: Some(done),
            })
            .await;
        let _ = seen.await;
    }
}

struct Subscriber {
    uid: u32,
    /// Things to tell of, the longest waiting first, with what the subscriber last heard (`None`: nothing).
    queue: VecDeque<Arc<Id>>,
    heard: HashMap<Arc<Id>, Option<Thing>>,
    /// Times of the last signals, at most [`MOST`].
    sent: VecDeque<Instant>,
    /// Both end with the subscription.
    _watch: tokio::task::JoinSet<()>,
    _use: Use,
}

impl Subscriber {
    /// When the next signal may go out; `None` when there is none to send. `now` is one reading of the clock for all: a
    /// later one would never be due.
    fn due(&self, now: Instant) -> Option<Instant> {
        self.queue.front()?;
        Some(match self.sent.front() {
            Some(first) if self.sent.len() >= MOST => *first + WINDOW,
            _ => now,
        })
    }

    fn note(&mut self, id: &Id, before: Option<&Thing>) {
        if !self.heard.contains_key(id) {
            let id = Arc::new(id.clone());
            self.queue.push_back(id.clone());
            self.heard.insert(id, before.cloned());
        }
    }
}

struct State {
    bus: Connection,
    herald: Herald,
    activity: Activity,
    known: HashMap<Id, (Owner, Thing)>,
    subscribers: HashMap<String, Subscriber>,
}

impl State {
    async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Order>,
        mut events: broadcast::Receiver<Event>,
    ) {
        loop {
            let now = Instant::now();
            let due = self
                .subscribers
                .values()
                .filter_map(|subscriber| subscriber.due(now))
                .min();
            let timer = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                event = events.recv() => match event {
                    Ok(event) => self.hear(event),
                    // Known states are caught up with by the next event of each thing.
                    Err(broadcast::error::RecvError::Lagged(missed)) => tracing::warn!(missed, "events were missed"),
                    Err(broadcast::error::RecvError::Closed) => return,
                },
                order = inbox.recv() => match order {
                    Some(order) => self.obey(order),
                    None => return,
                },
                () = timer => self.tell().await,
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Subscribe {
                caller,
                things,
                done,
            } => {
                for (id, thing) in things {
                    self.known
                        .entry(id)
                        .or_insert((Owner::User(caller.uid), thing));
                }
                if !self.subscribers.contains_key(&caller.sender) {
                    let mut watch = tokio::task::JoinSet::new();
                    let (bus, herald, sender) =
                        (self.bus.clone(), self.herald.clone(), caller.sender.clone());
                    watch.spawn(async move {
                        // Also when it cannot be watched: a subscription that nothing would end is none.
                        presence::left(&bus, &sender).await;
                        let _ = herald
                            .0
                            .send(Order::Unsubscribe { sender, done: None })
                            .await;
                    });
                    self.subscribers.insert(
                        caller.sender,
                        Subscriber {
                            uid: caller.uid,
                            queue: VecDeque::new(),
                            heard: HashMap::new(),
                            sent: VecDeque::new(),
                            _watch: watch,
                            _use: self.activity.begin(),
                        },
                    );
                }
                let _ = done.send(());
            }
            Order::Unsubscribe { sender, done } => {
                self.subscribers.remove(&sender);
                if let Some(done) = done {
                    let _ = done.send(());
                }
            }
        }
    }

    fn hear(&mut self, event: Event) {
        let (owner, id, now) = match event {
            Event::TunnelAdded(owner, id, info) | Event::TunnelChanged(owner, id, info) => {
                (owner, id, Some(Thing::Tunnel(info)))
            }
            Event::AppAdded(owner, id, info) | Event::AppChanged(owner, id, info) => {
                (owner, id, Some(Thing::App(info)))
            }
            Event::TunnelRemoved(owner, id) | Event::AppRemoved(owner, id) => (owner, id, None),
        };
        let before = match now {
            Some(thing) => self.known.insert(id.clone(), (owner, thing)),
            None => self.known.remove(&id),
        };
        let before = before.map(|(_, thing)| thing);
        for subscriber in self
            .subscribers
            .values_mut()
            .filter(|subscriber| owner == Owner::User(subscriber.uid))
        {
            subscriber.note(&id, before.as_ref());
        }
    }

    /// Sends what is due: one signal a subscriber a turn, so that none keeps another waiting.
    async fn tell(&mut self) {
        let now = Instant::now();
        for (sender, subscriber) in &mut self.subscribers {
            if subscriber.due(now).is_none_or(|due| due > now) {
                continue;
            }
            let Some(id) = subscriber.queue.pop_front() else {
                continue;
            };
            let before = subscriber.heard.remove(&id).flatten();
            let thing = self.known.get(&*id).map(|(_, thing)| thing);
            if !emit(&self.bus, sender, &id, before.as_ref(), thing).await {
                continue;
            }
            if subscriber.sent.len() >= MOST {
                subscriber.sent.pop_front();
            }
            subscriber.sent.push_back(now);
        }
    }
}

/// Whether there was anything to tell. An error means that the bus or the subscriber is gone, which others notice.
async fn emit(
    bus: &Connection,
    to: &str,
    id: &Id,
    before: Option<&Thing>,
    now: Option<&Thing>,
) -> bool {
    let Some(any) = now.or(before) else {
        return false;
    };
    let ([added, changed, removed], interface, id) = (any.words(), any.interface(), id.as_str());
    let result = match (before, now) {
        (None, Some(now)) => {
            bus.emit_signal(Some(to), OBJECT_PATH, interface, added, &(id, now.dict()))
                .await
        }
        (Some(before), Some(now)) => {
            let changes = dict::changes(&before.dict(), now.dict());
            if changes.is_empty() {
                return false;
            }
            bus.emit_signal(Some(to), OBJECT_PATH, interface, changed, &(id, changes))
                .await
        }
        (_, None) => {
            bus.emit_signal(Some(to), OBJECT_PATH, interface, removed, &(id,))
                .await
        }
    };
    if result.is_err() {
        tracing::debug!("a signal could not be sent");
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscriber(sent: &[Instant]) -> Subscriber {
        Subscriber {
            uid: 1000,
            queue: VecDeque::new(),
            heard: HashMap::new(),
            sent: sent.iter().copied().collect(),
            _watch: tokio::task::JoinSet::new(),
            _use: Activity::default().begin(),
        }
    }

    #[test]
    fn what_waits_is_due_at_the_very_time_that_is_asked_for() {
        let now = Instant::now();
        let mut one = subscriber(&[]);
        assert_eq!(one.due(now), None);
        one.queue.push_back(Arc::new(Id::from_random([1; 16])));
        assert_eq!(one.due(now), Some(now));
        let mut many = subscriber(&[now; MOST]);
        many.queue.push_back(Arc::new(Id::from_random([1; 16])));
        assert_eq!(many.due(now), Some(now + WINDOW));
    }
}
