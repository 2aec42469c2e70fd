//! Models that change while requests run: loaded, swapped and unloaded, all on one thread. A version takes requests when it has been opened,
//! checked and run; until then, and when it cannot be, the one before it goes on answering.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::ValueEnum;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use tokio::sync::oneshot;

use crate::{
    backend::{Id, ServedModel},
    catalogue::{Catalogue, Status},
    error::ServerError,
    loader::{LoadError, Loader},
    repository::{self, Place, Stamp},
    traffic::Traffic,
};

/// How often the repository is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// How often it is looked whether the last request of a model that has been replaced is answered.
const REAP: Duration = Duration::from_millis(50);

/// Who changes what is served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Control {
    /// The repository's folder: what is registered there is loaded within seconds.
    #[default]
    Poll,
    /// Clients, by POST to /v2/repository/models/NAME/load and /unload.
    Explicit,
    /// Nobody; what is there at the start is served.
    None,
}

/// What is to be served.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Files by name, each of them version 1.
    pub files: Vec<(String, PathBuf)>,
    /// The folder of registered models.
    pub repository: Option<PathBuf>,
    /// Who changes it.
    pub control: Control,
    /// Where the requests of models go, by name, where it is not to their highest version.
    pub traffic: BTreeMap<String, Traffic>,
}

/// Where the versions of a model are.
type Places = BTreeMap<u64, Place>;
/// The same of models by their names.
type Models = BTreeMap<String, Places>;
type Reply = oneshot::Sender<Result<(), ServerError>>;

enum Order {
    Load(String, Reply),
    Unload(String, Reply),
    Stop,
}

/// The thread that loads models, from outside.
pub struct Manager {
    control: Control,
    orders: Sender<Order>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Manager {
    /// Starts loading. What has been loaded at the start, or why something that has to be there is not, is sent to `loaded`.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn start(
        wanted: Wanted,
        loader: Loader,
        catalogue: Arc<Catalogue>,
        loaded: oneshot::Sender<anyhow::Result<()>>,
    ) -> anyhow::Result<Self> {
        let (orders, receiver) = unbounded();
        let control = wanted.control;
        let mut work = Work {
            wanted,
            loader,
            catalogue,
            loaded: BTreeMap::new(),
            refused: BTreeMap::new(),
            unloaded: BTreeSet::new(),
            retired: Vec::new(),
        };
        let thread = thread::Builder::new().name("models".to_owned()).spawn(move || {
            let first = work.begin();
            let is_begun = first.is_ok();
            if loaded.send(first).is_ok() && is_begun {
                work.run(&receiver);
            }
        })?;
        Ok(Self { control, orders, thread: Mutex::new(Some(thread)) })
    }

    /// Loads the newest of a model, and waits until it answers.
    ///
    /// # Errors
    /// [`ServerError::Forbidden`] where clients may not; [`ServerError::UnknownModel`]; [`ServerError::Load`] when it cannot be served,
    /// and what was served before still is.
    pub async fn load(&self, name: &str) -> Result<(), ServerError> {
        self.order(|reply| Order::Load(name.to_owned(), reply)).await
    }

    /// Takes a model from service. Requests that have it are answered.
    ///
    /// # Errors
    /// [`ServerError::Forbidden`] where clients may not; [`ServerError::UnknownModel`].
    pub async fn unload(&self, name: &str) -> Result<(), ServerError> {
        self.order(|reply| Order::Unload(name.to_owned(), reply)).await
    }

    async fn order(&self, order: impl FnOnce(Reply) -> Order) -> Result<(), ServerError> {
        if self.control != Control::Explicit {
            return Err(ServerError::Forbidden);
        }
        let (reply, answer) = oneshot::channel();
        self.orders.send(order(reply)).map_err(|_| ServerError::NotReady)?;
        answer.await.unwrap_or(Err(ServerError::NotReady))
    }

    /// Ends the thread, after what it is loading.
    pub fn stop(&self) {
        // It has ended already where it cannot be told.
        let _ = self.orders.send(Order::Stop);
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that loads models has panicked");
        }
    }
}

/// A version that is not taken into service.
struct Refused {
    id: Id,
    why: LoadError,
}

impl Refused {
    /// Tells the operator, once.
    fn log(&self) {
        if !matches!(self.why, LoadError::AsBefore) {
            let reason = self.why.reason();
            tracing::error!(model = %self.id, reason, "the model cannot be loaded; what was served before still is");
        }
    }
}

struct Work {
    wanted: Wanted,
    loader: Loader,
    catalogue: Arc<Catalogue>,
    /// The files of what is served.
    loaded: BTreeMap<Id, Stamp>,
    /// The files of what could not be.
    refused: BTreeMap<Id, Stamp>,
    /// Models that clients have unloaded.
    unloaded: BTreeSet<String>,
    /// What has been replaced, until its last request is answered.
    retired: Vec<(Id, Arc<ServedModel>)>,
}

impl Work {
    /// Loads everything for the first time.
    fn begin(&mut self) -> anyhow::Result<()> {
        for (name, path) in self.wanted.files.clone() {
            if let Err(Refused { why, .. }) = self.refresh(&name, &self.places(&name), true) {
                let why = match why {
                    LoadError::Missing => format!("{}: no such file; check --model", path.display()),
                    other => other.reason(),
                };
                bail!("model '{name}': {why}");
            }
        }
        if let Some(folder) = &self.wanted.repository {
            let models = self
                .list(folder)
                .with_context(|| format!("--model-repository {}: the folder cannot be read", folder.display()))?;
            self.refresh_all(&models, true);
        }
        if self.catalogue.serving().is_empty() {
            if self.wanted.control == Control::None {
                bail!("no model can be served; register one with trainer register, or name a file with --model");
            }
            tracing::warn!("no model is served yet");
        }
        Ok(())
    }

    fn run(&mut self, orders: &Receiver<Order>) {
        let mut next = Instant::now() + LOOK;
        loop {
            let wait = match (self.retired.is_empty(), self.is_polled()) {
                (false, _) => REAP,
                (true, true) => next.saturating_duration_since(Instant::now()),
                (true, false) => Duration::MAX,
            };
            match orders.recv_timeout(wait.min(Duration::from_secs(3600))) {
                Ok(Order::Load(name, reply)) => {
                    let _ = reply.send(self.load(&name));
                }
                Ok(Order::Unload(name, reply)) => {
                    let _ = reply.send(self.unload(&name));
                }
                Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.reap();
            if self.is_polled() && Instant::now() >= next {
                self.refresh_all(&self.registered(), false);
                next = Instant::now() + LOOK;
            }
        }
    }

    fn is_polled(&self) -> bool {
        self.wanted.repository.is_some() && self.wanted.control == Control::Poll
    }

    /// Refreshes each of these models of the repository, and tells what is wrong with it.
    fn refresh_all(&mut self, models: &Models, again: bool) {
        for (name, places) in models {
            if let Err(refused) = self.refresh(name, places, again) {
                refused.log();
            }
        }
    }

    fn load(&mut self, name: &str) -> Result<(), ServerError> {
        match self.refresh(name, &self.places(name), true) {
            Ok(()) => Ok(()),
            Err(Refused { why: LoadError::Missing, .. }) => Err(ServerError::UnknownModel),
            Err(refused) => {
                refused.log();
                Err(ServerError::Load { reason: refused.why.to_string() })
            }
        }
    }

    fn unload(&mut self, name: &str) -> Result<(), ServerError> {
        let entry = self.catalogue.entry(name).ok_or(ServerError::UnknownModel)?;
        self.unloaded.insert(name.to_owned());
        for version in entry.versions.into_keys() {
            self.retire(Id { name: name.to_owned(), version });
        }
        Ok(())
    }

    /// Registered models but those that a file has the name of.
    fn list(&self, folder: &Path) -> io::Result<Models> {
        let mut models = repository::list(folder)?;
        models.retain(|name, _| self.wanted.files.iter().all(|(known, _)| known != name));
        Ok(models)
    }

    /// The same; none where there is no repository, or it cannot be read any more.
    fn registered(&self) -> Models {
        let models = self.wanted.repository.as_deref().map(|folder| self.list(folder));
        models.unwrap_or_else(|| Ok(Models::new())).unwrap_or_else(|error| {
            tracing::warn!(%error, "the model repository cannot be read; what was loaded is served on");
            Models::new()
        })
    }

    /// Where the versions of a model are.
    fn places(&self, name: &str) -> Places {
        match self.wanted.files.iter().find(|(known, _)| known == name) {
            Some((_, path)) => BTreeMap::from([(1, Place::File(path.clone()))]),
            None => self.registered().remove(name).unwrap_or_default(),
        }
    }

    /// Serves those versions of a model that are wanted, of those at `places`, and no others once one of them is. What was refused before is
    /// tried `again`, or only when its files are others now.
    ///
    /// # Errors
    /// Why none, or not all, of them are served.
    fn refresh(&mut self, name: &str, places: &Places, again: bool) -> Result<(), Refused> {
        if again {
            self.unloaded.remove(name);
        } else if self.unloaded.contains(name) {
            return Ok(());
        }
        if places.is_empty() {
            return Err(Refused { id: Id { name: name.to_owned(), version: 1 }, why: LoadError::Missing });
        }
        let traffic = self.wanted.traffic.get(name).cloned().unwrap_or_default();
        let (kept, result) = self.take_wanted(name, places, &traffic, again);
        // One that has gone and comes back is looked at again; and what is gone for good is not kept in mind for ever.
        self.refused.retain(|id, _| id.name != name || places.contains_key(&id.version));
        if !kept.is_empty() {
            self.catalogue.direct(name, traffic);
            let entry = self.catalogue.entry(name).unwrap_or_default();
            for (version, status) in entry.versions.into_iter().filter(|(version, _)| !kept.contains(version)) {
                match status {
                    Status::Serving(_) => self.retire(Id { name: name.to_owned(), version }),
                    Status::Unavailable(_) if !places.contains_key(&version) => {
                        self.catalogue.forget(name, version);
                    }
                    Status::Unavailable(_) | Status::Loading | Status::Unloading => {}
                }
            }
        }
        result
    }

    /// Takes what is wanted of a model into service. Those that are, and what went wrong with another.
    fn take_wanted(
        &mut self,
        name: &str,
        places: &Places,
        traffic: &Traffic,
        again: bool,
    ) -> (BTreeSet<u64>, Result<(), Refused>) {
        let (mut kept, mut result) = (BTreeSet::new(), Ok(()));
        let mut take = |version: u64| {
            let place = places.get(&version).ok_or(LoadError::Missing);
            let id = Id { name: name.to_owned(), version };
            match place.and_then(|place| self.take(&id, place, again)) {
                Ok(()) => kept.insert(version),
                Err(why) => {
                    if result.is_ok() {
                        result = Err(Refused { id, why });
                    }
                    false
                }
            }
        };
        if traffic.shares.is_empty() {
            // The highest that can be served.
            places.keys().rev().filter(|&&version| Some(version) != traffic.shadow).any(|&version| take(version));
        }
        for &(version, _) in &traffic.shares {
            take(version);
        }
        if let Some(version) = traffic.shadow {
            take(version);
        }
        (kept, result)
    }

    /// Takes a version into service, unless it is already.
    fn take(&mut self, id: &Id, place: &Place, again: bool) -> Result<(), LoadError> {
        let stamp = place.stamp()?;
        let entry = self.catalogue.entry(&id.name).unwrap_or_default();
        let old = entry.serving(id.version);
        if old.is_some_and(|model| model.is_ready()) && self.loaded.get(id) == Some(&stamp) {
            return Ok(());
        }
        if !again && self.refused.get(id) == Some(&stamp) {
            return Err(LoadError::AsBefore);
        }
        if old.is_none() {
            self.catalogue.set(&id.name, id.version, Status::Loading);
        }
        match self.open(id, place, &stamp) {
            Ok(model) => {
                let before = self.catalogue.set(&id.name, id.version, Status::Serving(Arc::new(model)));
                if let Some(Status::Serving(model)) = before {
                    self.retired.push((id.clone(), model));
                }
                self.refused.remove(id);
                self.loaded.insert(id.clone(), stamp);
                Ok(())
            }
            Err(error) => {
                if old.is_none() {
                    self.catalogue.set(&id.name, id.version, Status::Unavailable(error.to_string()));
                }
                self.refused.insert(id.clone(), stamp);
                Err(error)
            }
        }
    }

    /// Opens a version whose files are not changed meanwhile.
    fn open(&self, id: &Id, place: &Place, stamp: &Stamp) -> Result<ServedModel, LoadError> {
        let registered = place.registered()?;
        let model = self.loader.open(id, &place.file(), registered.as_ref())?;
        if place.stamp()? != *stamp {
            return Err(LoadError::Changed("it was changed while it was opened"));
        }
        Ok(model)
    }

    /// Takes a version from service. It goes when its last request is answered.
    fn retire(&mut self, id: Id) {
        self.loaded.remove(&id);
        let entry = self.catalogue.entry(&id.name).unwrap_or_default();
        if let Some(model) = entry.serving(id.version) {
            tracing::info!(model = %id, "model taken from service");
            self.catalogue.set(&id.name, id.version, Status::Unloading);
            self.retired.push((id, Arc::clone(model)));
        }
    }

    /// Ends those replaced models that no request has any more.
    fn reap(&mut self) {
        let (gone, left): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.retired).into_iter().partition(|(_, model)| Arc::strong_count(model) == 1);
        self.retired = left;
        for (id, model) in gone {
            // Joins its workers.
            drop(model);
            let entry = self.catalogue.entry(&id.name).unwrap_or_default();
            if matches!(entry.versions.get(&id.version), Some(Status::Unloading)) {
                let is_there = self.places(&id.name).contains_key(&id.version);
                if is_there {
                    self.catalogue.set(&id.name, id.version, Status::Unavailable("unloaded".to_owned()));
                } else {
                    self.catalogue.forget(&id.name, id.version);
                }
            }
        }
    }
}
