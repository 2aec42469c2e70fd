//! The run itself: images are read, weighed, given room, decoded, put together, run and rendered, each stage for several at once
//! and in the order of the input.
//!
//! An image waits for room before it is read and again before it is decoded, in order, and holds it until it is decoded, or
//! answered. It waits for images before it only, and none of them for it, so that none waits for ever.

use std::{fs::File, io::Read, path::Path, pin::pin, sync::Arc, thread, time::Duration};

use actix_web::web::Data;
use futures_util::{
    Stream, StreamExt,
    future::{OptionFuture, ready},
    stream,
};
use schemas::{ErrorCode, prediction::Detection};

use super::{
    error::{Fault, ScoreError},
    feed::{End, Feed},
    format::{Format, Line, Said},
    input::{Item, not_ordinary},
    options::Machine,
    output::Output,
    progress::Progress,
    unit::Filling,
};
use crate::{
    admit::{Budget, Reservation},
    answer::Predicted,
    backend::{Description, Predictions},
    catalogue::Found,
    error::ServerError,
    masks::Masks,
    pool::Pool,
    prepare::{Encoded, Original, Part, Preparation, Weight, Work},
    render::scored,
    request::RequestOptions,
    state::State,
};

/// How often it is looked whether threads have come back.
const PAUSE: Duration = Duration::from_millis(2);
/// Threads that read files: they wait for the disk, not for a processor.
const READERS: usize = 8;
/// Of the memory, the part for files that are not decoded yet.
const FILES: u64 = 4;

/// Scores images.
pub(super) struct Scorer {
    state: Data<State>,
    found: Found,
    readers: Pool,
    options: RequestOptions,
    format: Format,
    /// For files.
    files: Budget,
    /// For decoded images.
    pixels: Budget,
    /// Most bytes of decoded images.
    pixel_bytes: u64,
    /// Largest file in bytes.
    largest: u64,
    /// Images that are read, or decoded, at a time.
    ahead: usize,
    /// Units that are run, or wait to be, at a time.
    units: usize,
}

/// An image that has been read, or why it has not.
struct Weighed {
    item: Item,
    read: Result<(Vec<u8>, Weight, Reservation), Fault>,
}

/// An image on its way to be decoded, with room for its file and its pixels.
struct Roomy {
    item: Item,
    read: Result<(Vec<u8>, Weight, [Reservation; 2]), Fault>,
}

/// An image as the model takes it.
struct Prepared {
    item: Item,
    image: Result<(Original, Vec<Part>, Reservation), Fault>,
}

impl Scorer {
    /// A scorer with a model of `state`.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub(super) fn new(
        (state, found): (State, Found),
        machine: &Machine,
        options: RequestOptions,
        format: Format,
    ) -> Result<Self, ScoreError> {
        let memory = machine.memory << 20;
        let (files, pixel_bytes) = (memory / FILES, memory - memory / FILES);
        let ahead = 4 * machine.decode_threads() + 2 * machine.batch();
        let readers = Pool::new(READERS, 2 * ahead);
        let readers = readers.map_err(|source| ScoreError::System { what: "a thread", source })?;
        Ok(Self {
            state: Data::new(state),
            found,
            readers,
            options,
            format,
            files: Budget::new(files),
            pixels: Budget::new(pixel_bytes),
            pixel_bytes,
            largest: machine.max_file << 20,
            ahead,
            units: 2 + 3 * machine.workers as usize,
        })
    }

    pub(super) fn about(&self) -> &Description {
        &self.found.model.description
    }

    /// Scores what is fed, and writes it batch by batch.
    ///
    /// # Errors
    /// The model can no longer answer, or the output cannot be written.
    pub(super) async fn run(&self, feed: Feed, output: &mut Output, progress: &mut Progress) -> Result<(), ScoreError> {
        let end = feed.end();
        let mut filling = Filling::new(self.most(), self.pixel_bytes);
        let preparation = Arc::new(self.work()?.preparation(&self.options));
        let read = stream::iter(feed)
            .then(|item| self.room_for_file(item))
            .map(|(item, room)| self.read(item, room, Arc::clone(&preparation)))
            .buffered(self.ahead);
        // `None` ends a unit. It goes ahead of the image that begins the next one, which may have to wait for that unit's room.
        let marked = read.flat_map(|image| {
            let begins = filling.begins(image.read.as_ref().ok().map(|(_, weight, _)| weight.need));
            stream::iter(begins.then_some(None).into_iter().chain([Some(image)]))
        });
        let prepared = marked
            .then(|image| OptionFuture::from(image.map(|image| self.room_for_pixels(image))))
            .map(|image| OptionFuture::from(image.map(|image| self.prepare(image, Arc::clone(&preparation)))))
            .buffered(self.ahead);
        let mut answered = pin!(units(prepared, end).map(|unit| self.answer(unit)).buffered(self.units));
        while let Some(lines) = answered.next().await {
            let lines = lines?;
            output.add(&lines)?;
            progress.advance(&lines);
        }
        Ok(())
    }

    /// Waits until no thread works for it any more. What was given up ends soon, since nobody wants it; the models have to end here
    /// and not on one of the threads that they would wait for, nor while the process does.
    pub(super) fn close(self) {
        drop((self.readers, self.found));
        let mut state = self.state.into_inner();
        let state = loop {
            match Arc::try_unwrap(state) {
                Ok(state) => break state,
                Err(shared) => state = shared,
            }
            thread::sleep(PAUSE);
        };
        state.stop();
    }

    /// Most images of a unit, as the workers of a server have it.
    fn most(&self) -> usize {
        self.about().at_once(usize::try_from(self.state.limits.max_batch).unwrap_or(usize::MAX))
    }

    fn work(&self) -> Result<Work, ServerError> {
        Ok(Work::new(self.state.clone(), self.found.clone(), Arc::default(), self.state.admission.enter()?))
    }

    async fn room_for_file(&self, item: Item) -> (Item, Result<(u64, Reservation), Fault>) {
        let room = match item.path.as_deref().map_err(Clone::clone).and_then(|path| self.length(path)) {
            Ok(length) => self.files.wait(length).await.map(|room| (length, room)).map_err(Fault::from),
            Err(fault) => Err(fault),
        };
        (item, room)
    }

    /// Bytes of a file.
    fn length(&self, path: &Path) -> Result<u64, Fault> {
        let found = path.metadata()?;
        if !found.is_file() {
            return Err(not_ordinary());
        }
        let (length, most) = (found.len(), self.largest);
        if length > most {
            let text =
                format!("the file has {length} bytes, the limit is {most}; raise --max-file, or make it smaller");
            return Err(Fault::new(ErrorCode::ImageTooLarge, text));
        }
        Ok(length)
    }

    async fn read(
        &self,
        item: Item,
        room: Result<(u64, Reservation), Fault>,
        preparation: Arc<Preparation>,
    ) -> Weighed {
        let (path, most) = (item.path.clone(), self.pixels.clone());
        let read = match (path, room) {
            (Ok(path), Ok((length, room))) => {
                let read = self.readers.run(move || {
                    Ok(read_file(&path, length).and_then(|bytes| {
                        let weight = preparation.weigh(&Encoded { index: 0, bytes: &bytes, wanted: &|| true })?;
                        most.check(weight.need.peak)?;
                        Ok((bytes, weight, room))
                    }))
                });
                read.await.unwrap_or_else(|error| Err(error.into()))
            }
            (Err(fault), _) | (Ok(_), Err(fault)) => Err(fault),
        };
        Weighed { item, read }
    }

    async fn room_for_pixels(&self, image: Weighed) -> Roomy {
        let Weighed { item, read } = image;
        let read = match read {
            Ok((bytes, weight, file)) => match self.pixels.wait(weight.need.peak).await {
                Ok(pixels) => Ok((bytes, weight, [file, pixels])),
                Err(error) => Err(error.into()),
            },
            Err(fault) => Err(fault),
        };
        Roomy { item, read }
    }

    async fn prepare(&self, image: Roomy, preparation: Arc<Preparation>) -> Prepared {
        let Roomy { item, read } = image;
        let image = match read {
            Ok((bytes, weight, [file, mut pixels])) => {
                let prepared = self.state.pool.run_while_wanted(move |wanted| {
                    let (original, parts) =
                        preparation.prepare(&Encoded { index: 0, bytes: &bytes, wanted }, &weight)?;
                    drop((bytes, file));
                    pixels.shrink_to(weight.need.kept);
                    Ok((original, parts, pixels))
                });
                prepared.await.map_err(Fault::from)
            }
            Err(fault) => Err(fault),
        };
        Prepared { item, image }
    }

    /// The lines of the images of a unit. If the model fails on them, each is run alone, so that only the one at fault has an error.
    async fn answer(&self, unit: Vec<Prepared>) -> Result<Vec<Line>, ScoreError> {
        let mut items = Vec::with_capacity(unit.len());
        let (mut images, mut rooms) = (Vec::new(), Vec::new());
        for Prepared { item, image } in unit {
            let fault = match image {
                Ok((original, parts, room)) => {
                    images.push((original, parts));
                    rooms.push(room);
                    None
                }
                Err(fault) => Some(fault),
            };
            items.push((item, fault));
        }
        let count = images.len();
        let said: Vec<Result<Said, Fault>> = match self.together(images).await {
            Ok(said) => said.into_iter().map(Ok).collect(),
            Err(error @ ServerError::NotReady) => return Err(error.into()),
            Err(error) if count == 1 => vec![Err(error.into())],
            Err(_) => {
                let mut said = Vec::with_capacity(count);
                for (item, _) in items.iter().filter(|(_, fault)| fault.is_none()) {
                    said.push(self.alone(item).await?);
                }
                said
            }
        };
        drop(rooms);
        self.lines(items, said).await
    }

    /// What the model says about prepared images.
    async fn together(&self, images: Vec<(Original, Vec<Part>)>) -> Result<Vec<Said>, ServerError> {
        if images.is_empty() {
            return Ok(Vec::new());
        }
        let work = self.work()?;
        let predicted = work.run(images, self.options).await?;
        let (predicted, masks) = work.masks(predicted, self.options.masks).await?;
        said(&predicted, masks, &self.about().meta.labels)
    }

    /// What it says about one image, read again. Rare enough to wait for no room.
    async fn alone(&self, item: &Item) -> Result<Result<Said, Fault>, ScoreError> {
        let said = async {
            let path = item.path.clone()?;
            let length = self.length(&path)?;
            let bytes = self.readers.run(move || Ok(read_file(&path, length))).await??;
            let work = self.work()?;
            let predicted = work.predict(vec![bytes], self.options).await?;
            let (predicted, masks) = work.masks(predicted, self.options.masks).await?;
            let said = said(&predicted, masks, &self.about().meta.labels)?;
            said.into_iter().next().ok_or(Fault::from(ServerError::Internal))
        };
        match said.await {
            Err(fault) if fault.code == ErrorCode::NotReady => Err(ServerError::NotReady.into()),
            said => Ok(said),
        }
    }

    async fn lines(
        &self,
        items: Vec<(Item, Option<Fault>)>,
        said: Vec<Result<Said, Fault>>,
    ) -> Result<Vec<Line>, ScoreError> {
        let (model, format) = (Arc::clone(&self.found.model), self.format);
        let rendered = self.state.pool.run(move || {
            let labels = &model.description.meta.labels;
            let mut said = said.into_iter();
            let line = |(item, fault): (Item, Option<Fault>)| {
                let said = match fault {
                    Some(fault) => Err(fault),
                    None => said.next().unwrap_or_else(|| Err(ServerError::Internal.into())),
                };
                format.line(&item, said.as_ref(), labels)
            };
            Ok(items.into_iter().map(line).collect())
        });
        Ok(rendered.await?)
    }
}

/// The images of each unit, whose ends are marked. One that the feed has cut short is left out: it is scored when the run goes on.
fn units(images: impl Stream<Item = Option<Prepared>>, end: End) -> impl Stream<Item = Vec<Prepared>> {
    let mut open: Vec<Prepared> = Vec::new();
    let last = stream::once(ready(None)).map(move |mark: Option<Prepared>| (mark, !end.is_early()));
    let marked = images.map(|image| (image, true)).chain(last);
    marked.filter_map(move |(image, is_whole)| {
        let complete = match image {
            Some(image) => {
                open.push(image);
                None
            }
            None => Some(std::mem::take(&mut open)).filter(|unit| is_whole && !unit.is_empty()),
        };
        ready(complete)
    })
}

/// What was found in each image.
fn said(predicted: &Predicted, masks: Masks, labels: &[String]) -> Result<Vec<Said>, ServerError> {
    match &predicted.predictions {
        Predictions::Probabilities(rows) => {
            Ok(rows.rows().into_iter().map(|row| Said::Classes(row.to_vec())).collect())
        }
        Predictions::Boxes(images) => {
            let about = |((original, found), masks): ((&Original, &Vec<Detection>), _)| {
                Said::Objects(scored(found, masks, original, labels))
            };
            Ok(predicted.originals.iter().zip(images).zip(masks.of_images).map(about).collect())
        }
    }
}

/// Reads a file of `length` bytes.
fn read_file(path: &Path, length: u64) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    File::open(path)?.take(length + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > length {
        return Err(Fault::new(ErrorCode::InvalidImage, "the file grew while it was read"));
    }
    Ok(bytes)
}
