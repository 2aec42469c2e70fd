//! Rows with boxes as parts of a set of images with boxes. What the room `boxes` offers is used here.

use std::collections::BTreeMap;
use std::path::PathBuf;

use models::host::mask::Fill;

use super::boxes::{BoxColumns, BoxForm, are_fractions, only_form};
use super::records::Record;
use super::{ADVICE, Reading};
use crate::DataError;
use crate::convert::boxes::draft::{Draft, DraftObject, Unit, settle};
use crate::convert::boxes::{LabelledImage, Part};
use crate::convert::labels::Place;
use crate::convert::parts::part_name;

/// A part that is being gathered; the corners of its objects are the numbers of the table.
struct Gathered {
    part: Part,
    drafts: Vec<Draft>,
    known: BTreeMap<PathBuf, usize>,
}

/// The parts of a table of boxes, in the order in which the table names them. Images that are not there and boxes that
/// cannot be used are left out of them and listed.
///
/// # Errors
/// It cannot be told what the numbers mean, or nothing of a part can be used.
pub fn parts(reading: &mut Reading, columns: &BoxColumns) -> Result<Vec<Part>, DataError> {
    let mut gathered: Vec<Gathered> = Vec::new();
    let mut groups = reading.groups()?;
    for row in reading.rows {
        let name = match reading.part(row) {
            name if name.is_empty() => part_name(reading.path),
            name => name,
        };
        let at = gathered.iter().position(|one| one.part.name == name).unwrap_or_else(|| {
            let part = Part { name, ..Part::default() };
            gathered.push(Gathered { part, drafts: Vec::new(), known: BTreeMap::new() });
            gathered.len() - 1
        });
        let one = &mut gathered[at];
        match gather(reading, columns, row, one) {
            Ok(path) => reading.put(&mut groups, &Place::File(path), row)?,
            Err(reason) => one.part.leave_out(reading.path, format!("line {}", row.line), reason),
        }
    }
    let numbers = |gathered: &[Gathered]| -> Vec<[f64; 4]> {
        let objects = gathered.iter().flat_map(|one| &one.drafts).flat_map(|draft| &draft.objects);
        objects.filter_map(|object| object.corners).collect()
    };
    let all = numbers(&gathered);
    let fractions = are_fractions(&all);
    let form = match reading.options.boxes.or(columns.form) {
        Some(form) => form,
        None => told_by_sizes(&gathered, fractions).map_err(|why| {
            reading.wrong(format!("{why}. Say which with --box corners (left, top, right, bottom) or --box size"))
        })?,
    };
    if !all.is_empty() {
        let unit = if fractions { "fractions of the image" } else { "pixels" };
        reading.assumed.push(format!("the numbers of a box are {form}, in {unit}"));
    }
    reading.assumed.extend(reading.finder.assumed());
    let unit = if fractions { Unit::Fractions } else { Unit::Pixels(reading.options.sizes) };
    let grouped = |part: Part| Part { groups: groups.clone(), ..part };
    gathered.into_iter().map(|one| settled(reading, one, form, unit).map(grouped)).collect()
}

/// Adds the box of a row to its image, whose file is given back.
fn gather(reading: &Reading, columns: &BoxColumns, row: &Record, into: &mut Gathered) -> Result<PathBuf, String> {
    let path = match reading.find(row)? {
        Place::File(path) => path,
        Place::Url(url) => return Err(format!("{url} is no file of this machine; fetch it first")),
    };
    let place = format!("line {}", row.line);
    let one = columns.read(row, reading.options.one_class.as_deref())?;
    let at = *into.known.entry(path.clone()).or_insert_with(|| {
        let (source, place, path, declared) = (reading.path.to_owned(), place.clone(), path.clone(), columns.size(row));
        into.drafts.push(Draft { source, place, path, declared, objects: Vec::new(), lost: 0 });
        into.drafts.len() - 1
    });
    into.drafts[at].objects.extend(one.map(|one| DraftObject {
        place,
        label: one.label,
        corners: Some(one.numbers),
        segments: Vec::new(),
        fill: Fill::CocoEvenOdd,
        is_crowd: one.crowd,
    }));
    Ok(path)
}

/// What the four numbers are, as the sizes of the images tell.
fn told_by_sizes(gathered: &[Gathered], fractions: bool) -> Result<BoxForm, String> {
    let mut all = Vec::new();
    for draft in gathered.iter().flat_map(|one| &one.drafts) {
        let image = LabelledImage { path: draft.path.clone(), size: draft.declared, objects: Vec::new() };
        let size = match (fractions, image.measured()) {
            (true, _) => [1.0, 1.0],
            (false, Ok(size)) => size.map(f64::from),
            // It is left out later, with the reason.
            (false, Err(_)) => continue,
        };
        all.extend(draft.objects.iter().filter_map(|object| Some((object.corners?, size))));
    }
    only_form(&all)
}

fn settled(reading: &Reading, gathered: Gathered, form: BoxForm, unit: Unit) -> Result<Part, DataError> {
    let Gathered { mut part, mut drafts, .. } = gathered;
    for object in drafts.iter_mut().flat_map(|draft| &mut draft.objects) {
        object.corners = object.corners.map(|numbers| form.corners(numbers));
    }
    part.assumed.extend(reading.assumed.iter().cloned());
    settle(&mut part, drafts, unit);
    part.usable(reading.path, &format!("{ADVICE}:"))
}
