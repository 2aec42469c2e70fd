//! What the server has said, which it has to say again: the first answer to each request, of each file that a model has.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::{Map, Value};

use super::{
    http::Answer,
    repository::flavour,
    requests::{Check, Request},
    tally::Outcome,
};

/// Bytes of an answer that are shown where it is not the right one.
const SHOWN: usize = 200;

/// The oldest and the newest version of a model that may answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    pub oldest: u64,
    pub newest: u64,
}

impl Versions {
    /// Of a model that is never swapped.
    const ONE: Self = Self { oldest: 1, newest: 1 };

    fn hold(self, version: u64) -> bool {
        (self.oldest..=self.newest).contains(&version)
    }

    /// Which files of the model that may be.
    fn flavours(self) -> Vec<usize> {
        let mut found: Vec<usize> = (self.oldest..=self.newest.min(self.oldest + 1)).map(flavour).collect();
        found.sort_unstable();
        found
    }
}

/// What an answer says, made comparable.
pub struct Said {
    /// The versions that may have answered.
    pub versions: Versions,
    /// The version that the answer names.
    pub named: Option<u64>,
    /// All the rest.
    pub body: Vec<u8>,
}

/// What is known.
#[derive(Default)]
pub struct Truth {
    /// By the name of the request and the flavour of the model.
    answers: Mutex<BTreeMap<(&'static str, usize), Vec<u8>>>,
    /// Of models that are swapped.
    versions: Mutex<BTreeMap<&'static str, Versions>>,
}

impl Truth {
    /// The versions of a model that may answer now.
    pub fn versions(&self, model: Option<&'static str>) -> Versions {
        let known = lock(&self.versions);
        model.and_then(|model| known.get(model).copied()).unwrap_or(Versions::ONE)
    }

    /// Says which may from now on.
    pub fn swapped(&self, model: &'static str, versions: Versions) {
        lock(&self.versions).insert(model, versions);
    }

    /// Whether an answer is right, of whichever version may have given it since `before`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn judge(&self, request: &Request, answer: &Answer, before: Versions) -> Result<Outcome, String> {
        if answer.status == 429 {
            return without_room(answer);
        }
        if !request.right.contains(&answer.status) {
            let right = &request.right;
            return Err(format!("status {}, not one of {right:?}: {}", answer.status, shown(&answer.body)));
        }
        let versions = Versions { newest: self.versions(request.model).newest, ..before };
        let (named, body) = match request.check {
            Check::Same => (None, answer.body.clone()),
            Check::Versioned => split(answer)?,
            Check::Holds(text) if String::from_utf8_lossy(&answer.body).contains(text) => return Ok(Outcome::Right),
            Check::Holds(text) => return Err(format!("the answer does not hold '{text}': {}", shown(&answer.body))),
        };
        self.compare(request.name, Said { versions, named, body })
    }

    /// Whether what is said is what was said the first time.
    ///
    /// # Errors
    /// What the difference is.
    pub fn compare(&self, name: &'static str, said: Said) -> Result<Outcome, String> {
        let Said { versions, named, body } = said;
        let flavours = match named {
            Some(version) if !versions.hold(version) => {
                return Err(format!("version {version} answers, and it is the time of {versions:?}"));
            }
            Some(version) => vec![flavour(version)],
            None => versions.flavours(),
        };
        let mut answers = lock(&self.answers);
        let known: Vec<&Vec<u8>> = flavours.iter().filter_map(|&flavour| answers.get(&(name, flavour))).collect();
        if known.contains(&&body) {
            return Ok(Outcome::Right);
        }
        match flavours[..] {
            [flavour] if known.is_empty() => {
                answers.insert((name, flavour), body);
                Ok(Outcome::Right)
            }
            // Either file may have answered, and one of them has not answered this before.
            _ if known.len() < flavours.len() => Ok(Outcome::Right),
            _ => Err(format!(
                "it is answered {}, and was {}",
                shown(&body),
                known.iter().map(|one| shown(one)).collect::<Vec<_>>().join(" or ")
            )),
        }
    }
}

/// A refusal for want of room says so, and when to come again.
fn without_room(answer: &Answer) -> Result<Outcome, String> {
    let code = serde_json::from_slice::<Value>(&answer.body).ok().map(|body| body["code"].clone());
    if code != Some("overloaded".into()) || answer.header("retry-after").is_none() {
        return Err(format!("status 429 without a reason or a time: {}", shown(&answer.body)));
    }
    Ok(Outcome::WithoutRoom)
}

/// The version that an answer to V2 inference names, and the rest of it.
fn split(answer: &Answer) -> Result<(Option<u64>, Vec<u8>), String> {
    let length =
        answer.header("inference-header-content-length").map_or(Some(answer.body.len()), |text| text.parse().ok());
    let parts = length.and_then(|length| answer.body.split_at_checked(length));
    let (json, blob) = parts.ok_or("the answer is shorter than its header says")?;
    let mut fields: Map<String, Value> = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    // An answer that refuses names none.
    let named = match fields.shift_remove("model_version") {
        None => None,
        Some(version) => {
            let number = version.as_str().and_then(|text| text.parse().ok());
            Some(number.ok_or_else(|| format!("the answer names version {version}"))?)
        }
    };
    Ok((named, [Value::Object(fields).to_string().as_bytes(), blob].concat()))
}

fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(SHOWN)]).into_owned();
    if body.len() > SHOWN { format!("{text}... ({} bytes)", body.len()) } else { text }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(versions: (u64, u64), named: Option<u64>, body: &str) -> Said {
        let (oldest, newest) = versions;
        Said { versions: Versions { oldest, newest }, named, body: body.into() }
    }

    #[test]
    fn an_answer_is_held_to_the_first_of_its_file() {
        let truth = Truth::default();
        let right = Ok(Outcome::Right);
        assert_eq!(truth.compare("x", said((1, 1), None, "odd")), right);
        // The other file may have answered, and nobody knows what it says.
        assert_eq!(truth.compare("x", said((1, 2), None, "even")), right);
        assert!(truth.compare("x", said((1, 1), None, "even")).is_err());
        assert_eq!(truth.compare("x", said((2, 2), Some(2), "even")), right);
        assert_eq!(truth.compare("x", said((2, 3), None, "odd")), right);
        assert!(truth.compare("x", said((2, 3), None, "another")).is_err());
        assert!(truth.compare("x", said((2, 3), Some(3), "even")).is_err());
        assert!(truth.compare("x", said((2, 3), Some(4), "even")).is_err());
        assert_eq!(truth.compare("y", said((3, 3), None, "another")), right);
    }
}
