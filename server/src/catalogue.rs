//! The models that are served, by name and version. A request takes its model once and keeps it until it is answered; meanwhile others
//! may come in its place.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use schemas::registered::version_of;

use crate::{backend::ServedModel, error::ServerError, traffic::Traffic};

/// What is known of a version of a model.
#[derive(Clone)]
pub enum Status {
    /// It answers.
    Serving(Arc<ServedModel>),
    /// It is being opened and checked.
    Loading,
    /// It is not served any more, and has requests to answer.
    Unloading,
    /// It is not served, and why. For clients: without places on this machine.
    Unavailable(String),
}

/// A model of some name.
#[derive(Clone, Default)]
pub struct Entry {
    /// Its versions.
    pub versions: BTreeMap<u64, Status>,
    /// Where its requests go.
    pub traffic: Traffic,
}

/// What a request is answered by.
#[derive(Clone)]
pub struct Found {
    /// The model that answers.
    pub model: Arc<ServedModel>,
    /// The version whose answer is only compared.
    pub shadow: Option<Arc<ServedModel>>,
}

/// All models. Cheap to read; it changes when a model does.
#[derive(Default)]
pub struct Catalogue {
    /// In the order in which they are listed; the first answers `/score`.
    entries: RwLock<Vec<(String, Entry)>>,
    /// Requests that named no version.
    turns: AtomicU64,
}

impl Entry {
    /// The version of this number, if it answers.
    #[must_use]
    pub fn serving(&self, version: u64) -> Option<&Arc<ServedModel>> {
        match self.versions.get(&version) {
            Some(Status::Serving(model)) => Some(model),
            Some(Status::Loading | Status::Unloading | Status::Unavailable(_)) | None => None,
        }
    }

    /// Versions that answer, in rising order.
    pub fn all_serving(&self) -> impl DoubleEndedIterator<Item = &Arc<ServedModel>> {
        self.versions.keys().filter_map(|&version| self.serving(version))
    }

    /// Versions that clients are answered by, in rising order: not the one whose answers are only compared.
    fn answering(&self) -> impl DoubleEndedIterator<Item = &Arc<ServedModel>> {
        let is_shadow = |model: &&Arc<ServedModel>| Some(model.description.version) == self.traffic.shadow;
        self.all_serving().filter(move |model| !is_shadow(model))
    }

    /// The version for the request of this turn.
    fn choose(&self, turn: u64) -> Option<&Arc<ServedModel>> {
        let shares: Vec<(&Arc<ServedModel>, u32)> =
            self.traffic.shares.iter().filter_map(|&(version, share)| Some((self.serving(version)?, share))).collect();
        let total: u64 = shares.iter().map(|(_, share)| u64::from(*share)).sum();
        if total == 0 {
            return self.answering().next_back();
        }
        // Steps of the golden ratio: neighbours in time are spread over all shares.
        let place = (u128::from(turn.wrapping_mul(0x9E37_79B9_7F4A_7C15)) * u128::from(total)) >> 64;
        let mut end = 0;
        shares.iter().find_map(|(model, share)| {
            end += u128::from(*share);
            (place < end).then_some(*model)
        })
    }

    fn find(&self, version: Option<&str>, turn: u64) -> Result<Found, ServerError> {
        let model = match version {
            Some(text) => version_of(text).and_then(|version| self.serving(version)),
            None => self.choose(turn),
        };
        let Some(model) = model else {
            let is_loading = self.versions.values().any(|status| matches!(status, Status::Loading));
            return Err(if is_loading && version.is_none() {
                ServerError::NotReady
            } else {
                ServerError::UnknownModel
            });
        };
        // Who names a version wants that one and no comparison.
        let shadow = self.traffic.shadow.filter(|_| version.is_none()).and_then(|version| self.serving(version));
        Ok(Found { model: Arc::clone(model), shadow: shadow.cloned() })
    }
}

impl Catalogue {
    /// A catalogue of models that already run.
    #[must_use]
    pub fn of(models: Vec<ServedModel>) -> Self {
        let catalogue = Self::default();
        for model in models {
            let (name, version) = (model.description.name.clone(), model.description.version);
            catalogue.set(&name, version, Status::Serving(Arc::new(model)));
        }
        catalogue
    }

    /// What answers a request for a model of that name and version; the first model, and the version that it is the turn of, where the
    /// request names none.
    ///
    /// # Errors
    /// [`ServerError::UnknownModel`]; [`ServerError::NotReady`] while it is being loaded.
    pub fn find(&self, name: Option<&str>, version: Option<&str>) -> Result<Found, ServerError> {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        self.read(|entries| {
            let entry = match name {
                Some(name) => entries.iter().find(|(known, _)| known == name),
                None => entries.first(),
            };
            entry.ok_or(ServerError::UnknownModel)?.1.find(version, turn)
        })
    }

    /// The entry of that name.
    #[must_use]
    pub fn entry(&self, name: &str) -> Option<Entry> {
        self.read(|entries| entries.iter().find(|(known, _)| known == name).map(|(_, entry)| entry.clone()))
    }

    /// Every entry by its name, in the order in which they are listed.
    #[must_use]
    pub fn entries(&self) -> Vec<(String, Entry)> {
        self.read(<[_]>::to_vec)
    }

    /// Every version that answers.
    #[must_use]
    pub fn serving(&self) -> Vec<Arc<ServedModel>> {
        self.read(|entries| entries.iter().flat_map(|(_, entry)| entry.all_serving().cloned()).collect())
    }

    /// Whether there are models, and each version that is to answer has a worker to do so. A version that could not be loaded does not
    /// keep others from work: the index of the repository says what is wrong with it.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.read(|entries| {
            let mut all = entries.iter().flat_map(|(_, entry)| entry.answering()).peekable();
            all.peek().is_some() && all.all(|model| model.is_ready())
        })
    }

    /// Sets what is known of a version, and tells what was known before.
    pub fn set(&self, name: &str, version: u64, status: Status) -> Option<Status> {
        self.change(name, |entry| entry.versions.insert(version, status))
    }

    /// Forgets a version, and tells what was known of it.
    pub fn forget(&self, name: &str, version: u64) -> Option<Status> {
        self.change(name, |entry| entry.versions.remove(&version))
    }

    /// Says where the requests for a model go.
    pub fn direct(&self, name: &str, traffic: Traffic) {
        self.change(name, |entry| entry.traffic = traffic);
    }

    /// Changes an entry, which is there afterwards.
    fn change<T>(&self, name: &str, change: impl FnOnce(&mut Entry) -> T) -> T {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let at = entries.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
            entries.push((name.to_owned(), Entry::default()));
            entries.len() - 1
        });
        change(&mut entries[at].1)
    }

    fn read<T>(&self, read: impl FnOnce(&[(String, Entry)]) -> T) -> T {
        read(&self.entries.read().unwrap_or_else(PoisonError::into_inner))
    }
}
