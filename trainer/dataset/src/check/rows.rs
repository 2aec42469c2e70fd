//! Rows and boxes that training leaves out.

use std::path::Path;

use schemas::check::FindingKind;

use super::{Data, Found, Rejected, Said, finding};
use crate::error::DataError;
use crate::reject::{RejectKind, Rejection};

/// Turns what was rejected into findings.
pub(super) fn check(data: &Data, side: usize, all: &[Rejection], found: &mut Vec<Found>) -> Result<(), DataError> {
    let side = &data.sides[side];
    for row in all {
        let (kind, advice) = about(row);
        let location = row.image_url.as_deref().and_then(|url| {
            let root = side.reader.data_root.as_deref();
            crate::resolver(Path::new(&row.source), root).resolve(url).ok()
        });
        let rejected = Rejected { file: row.source.clone(), line: row.line, url: row.image_url.clone(), location };
        let place = rejected.place(side.part, side.folder);
        let said = Said::new(kind, row.reason.clone(), advice);
        let finding = finding(said, place.file.clone(), place.line, vec![place]);
        found.push(Found { finding, shown: Vec::new() });
    }
    Ok(())
}

fn about(row: &Rejection) -> (FindingKind, &'static str) {
    const ROW: &str = "correct the row; training leaves it out";
    const BOX: &str = "correct the box; training leaves it out";
    match row.kind {
        RejectKind::BadObject | RejectKind::NoObject => (FindingKind::BadBox, BOX),
        RejectKind::BadJson | RejectKind::BadLabel | RejectKind::BadUrl => (FindingKind::BadRow, ROW),
        RejectKind::MissingFile => (
            FindingKind::MissingImage,
            "put the file there or correct its image_url, which is relative to the folder of the JSONL file",
        ),
        RejectKind::BadImage => (FindingKind::UnreadableImage, "save or copy the image again, or remove the row"),
        RejectKind::Duplicate => (FindingKind::RepeatedRow, "keep one row for each image; training uses the last"),
    }
}
