//! Which version of a model its requests go to: the operator's choice.

use std::{collections::BTreeMap, str::FromStr};

use anyhow::bail;
use clap::Args;
use schemas::registered::{is_model_name, version_of};

/// Largest share of a version.
const MOST: u32 = 1_000_000;

/// Which of its versions a model's requests go to, where they name none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Versions and their shares of the requests; none where the highest version has all of them.
    pub shares: Vec<(u64, u32)>,
    /// The version that is asked the same, and whose answers are only compared.
    pub shadow: Option<u64>,
}

/// The operator's options about versions.
#[derive(Args, Clone, Debug, Default)]
pub struct Split {
    /// Versions of a model of the repository that share its requests, such as fridge=3:90,4:10; a share of 0 answers only those that
    /// name it. Repeat for several models [default: the highest version that can be served has all of them]
    #[arg(long = "traffic", value_name = "NAME=VERSION:SHARE,...")]
    pub shares: Vec<Shares>,
    /// A version of a model of the repository that is asked what the others are asked, if it has time; its answers are compared with
    /// theirs and counted in the metrics, and sent to nobody. Repeat for several models
    #[arg(long = "shadow", value_name = "NAME=VERSION")]
    pub shadows: Vec<Shadow>,
}

/// Versions that share the requests of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shares {
    name: String,
    shares: Vec<(u64, u32)>,
}

/// A version whose answers are only compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shadow {
    name: String,
    version: u64,
}

/// A model's name, and what follows it.
fn named(text: &str) -> Result<(String, &str), String> {
    match text.split_once('=') {
        Some((name, rest)) if is_model_name(name) => Ok((name.to_owned(), rest)),
        Some((name, _)) => Err(format!("'{name}' can be no model's name")),
        None => Err("write NAME=VERSION, such as fridge=3".to_owned()),
    }
}

fn version(text: &str) -> Result<u64, String> {
    version_of(text).ok_or_else(|| format!("'{text}' is no version; a version is a whole number from 1"))
}

impl FromStr for Shares {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, rest) = named(text)?;
        let mut shares: Vec<(u64, u32)> = Vec::new();
        for part in rest.split(',') {
            let (number, share) = part.split_once(':').unwrap_or((part, "1"));
            let number = version(number)?;
            let share = share.parse().ok().filter(|share| *share <= MOST);
            let share = share
                .ok_or_else(|| format!("the share of version {number} must be a whole number from 0 to {MOST}"))?;
            if shares.iter().any(|(known, _)| *known == number) {
                return Err(format!("version {number} is named twice"));
            }
            shares.push((number, share));
        }
        if shares.iter().all(|(_, share)| *share == 0) {
            return Err("every share is 0, so that no version answers; give one of them a share".to_owned());
        }
        Ok(Self { name, shares })
    }
}

impl FromStr for Shadow {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, rest) = named(text)?;
        Ok(Self { name, version: version(rest)? })
    }
}

impl Split {
    /// Both together, by the models' names.
    ///
    /// # Errors
    /// Two of a kind for one model; a version that is to answer and only to be compared.
    pub fn traffic(&self) -> anyhow::Result<BTreeMap<String, Traffic>> {
        let mut all: BTreeMap<String, Traffic> = BTreeMap::new();
        for Shares { name, shares } in &self.shares {
            let traffic = all.entry(name.clone()).or_default();
            if !traffic.shares.is_empty() {
                bail!("--traffic is given twice for the model '{name}'; give it once, with all versions");
            }
            traffic.shares.clone_from(shares);
        }
        for Shadow { name, version } in &self.shadows {
            let traffic = all.entry(name.clone()).or_default();
            if traffic.shadow.replace(*version).is_some() {
                bail!("--shadow is given twice for the model '{name}'; give it once");
            }
            if traffic.shares.iter().any(|(known, _)| known == version) {
                bail!(
                    "version {version} of the model '{name}' is in --traffic and in --shadow; it can be in one of them"
                );
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(shares: &[&str], shadows: &[&str]) -> Result<BTreeMap<String, Traffic>, String> {
        let shares = shares.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        let shadows = shadows.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        Split { shares, shadows }.traffic().map_err(|error| error.to_string())
    }

    #[test]
    fn versions_share_requests_as_the_operator_says() {
        let found = split(&["a=3:90,4:10", "b=1,2:0"], &["a=5", "c=1"]).unwrap();
        assert_eq!(found["a"], Traffic { shares: vec![(3, 90), (4, 10)], shadow: Some(5) });
        assert_eq!(found["b"], Traffic { shares: vec![(1, 1), (2, 0)], shadow: None });
        assert_eq!(found["c"], Traffic { shares: vec![], shadow: Some(1) });
        for (shares, shadows, said) in [
            (&["a"][..], &[][..], "NAME=VERSION"),
            (&["../a=1"], &[], "no model's name"),
            (&["a=0"], &[], "whole number from 1"),
            (&["a=1:x"], &[], "share of version 1"),
            (&["a=1,1"], &[], "named twice"),
            (&["a=1:0,2:0"], &[], "every share is 0"),
            (&["a=1", "a=2"], &[], "--traffic is given twice"),
            (&[], &["a=1", "a=2"], "--shadow is given twice"),
            (&["a=1"], &["a=1"], "in --traffic and in --shadow"),
            (&[], &["a=one"], "no version"),
        ] {
            let error = split(shares, shadows).unwrap_err();
            assert!(error.contains(said), "{shares:?} {shadows:?}: {error}");
        }
    }
}
