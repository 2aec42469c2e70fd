//! The page of a check: each finding with its images.

use minijinja::value::Serde;
use schemas::check::{CheckReport, Finding, Suspect, Suspects};
use serde::Serialize;

use super::{ReportError, Thumbnail, environment};

/// What the page shows.
#[derive(Clone, Debug)]
pub struct CheckPage {
    /// What was found.
    pub report: CheckReport,
    /// Images of each finding, as far as they are to be shown.
    pub images: Vec<Vec<Thumbnail>>,
    /// Most findings of a kind; of the others their number is said.
    pub shown: usize,
    /// Images of each label that a model doubts, as listed in the report; what is labelled is drawn in the page's colour of what is wrong,
    /// what the model says in that of what is right.
    pub suspects: Vec<Vec<Thumbnail>>,
}

/// What the template reads.
#[derive(Serialize)]
struct View<'a> {
    report: &'a CheckReport,
    kinds: Vec<KindView<'a>>,
    suspects: Option<SuspectsView<'a>>,
}

#[derive(Serialize)]
struct SuspectsView<'a> {
    model: &'a str,
    images: u64,
    found: u64,
    note: Vec<Piece<'a>>,
    listed: Vec<SuspectView<'a>>,
    /// Doubts that are not listed.
    more: u64,
}

#[derive(Serialize)]
struct SuspectView<'a> {
    score: String,
    message: &'a str,
    place: String,
    images: &'a [Thumbnail],
}

#[derive(Serialize)]
struct KindView<'a> {
    name: &'static str,
    title: &'static str,
    severity: &'static str,
    count: usize,
    advice: Vec<Piece<'a>>,
    findings: Vec<FindingView<'a>>,
    /// Findings that are not shown.
    more: usize,
}

#[derive(Serialize)]
struct FindingView<'a> {
    message: &'a str,
    places: Vec<String>,
    /// Places that are not shown.
    more: usize,
    images: &'a [Thumbnail],
}

/// A piece of a text; what is to be typed is code.
#[derive(Debug, PartialEq, Serialize)]
struct Piece<'a> {
    text: &'a str,
    code: bool,
}

/// A text by its options (`--name`) and what stands between backticks.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    for (number, quoted) in text.split('`').enumerate() {
        let mut rest = quoted;
        while let Some(at) = rest.find("--").filter(|_| number % 2 == 0) {
            let of_option = |c: char| c == '-' || c == '_' || c.is_ascii_alphanumeric();
            let end = rest[at..].find(|c| !of_option(c)).map_or(rest.len(), |length| at + length);
            pieces.push(Piece { text: &rest[..at], code: false });
            pieces.push(Piece { text: &rest[at..end], code: true });
            rest = &rest[end..];
        }
        pieces.push(Piece { text: rest, code: number % 2 == 1 });
    }
    pieces.retain(|piece| !piece.text.is_empty());
    pieces
}

/// Places of a finding that are written out.
const PLACES: usize = 6;

/// The page as one HTML document, with everything inside and without script; every text of the data is escaped.
///
/// # Errors
/// [`ReportError::Template`]; no data causes it.
pub fn render_check(page: &CheckPage) -> Result<String, ReportError> {
    let mut images = page.images.iter();
    let kinds = page.report.by_kind().filter_map(|of_kind| {
        let first = of_kind.first()?;
        let all: Vec<FindingView> = of_kind.iter().map(|one| finding(one, images.next())).collect();
        let more = all.len().saturating_sub(page.shown);
        Some(KindView {
            name: first.kind.as_str(),
            title: first.kind.title(),
            severity: first.severity.as_str(),
            count: of_kind.len(),
            advice: pieces(&first.advice),
            findings: all.into_iter().take(page.shown).collect(),
            more,
        })
    });
    let suspects = page.report.suspects.as_ref().map(|all| suspects(all, &page.suspects));
    let view = View { kinds: kinds.collect(), report: &page.report, suspects };
    let mut environment = environment()?;
    environment.add_template("check", include_str!("check.html"))?;
    Ok(environment.get_template("check")?.render(Serde(view))?)
}

fn suspects<'a>(all: &'a Suspects, images: &'a [Vec<Thumbnail>]) -> SuspectsView<'a> {
    let one = |(number, suspect): (usize, &'a Suspect)| SuspectView {
        score: format!("{:.2}", suspect.score),
        message: &suspect.message,
        place: suspect.place.to_string(),
        images: images.get(number).map_or(&[], Vec::as_slice),
    };
    SuspectsView {
        model: &all.model,
        images: all.images,
        found: all.found,
        note: pieces(&all.note),
        listed: all.listed.iter().enumerate().map(one).collect(),
        more: all.found.saturating_sub(all.listed.len() as u64),
    }
}

fn finding<'a>(finding: &'a Finding, images: Option<&'a Vec<Thumbnail>>) -> FindingView<'a> {
    FindingView {
        message: &finding.message,
        places: finding.images.iter().take(PLACES).map(ToString::to_string).collect(),
        more: finding.images.len().saturating_sub(PLACES),
        images: images.map_or(&[], Vec::as_slice),
    }
}

#[cfg(test)]
mod tests {
    use schemas::Task;
    use schemas::check::{CheckedClass, CheckedPart, DataPart, FindingKind, FindingPlace, SuspectKind};

    use super::*;

    fn page(text: &str, findings: usize) -> CheckPage {
        let place = FindingPlace {
            part: DataPart::Test,
            file: text.to_owned(),
            line: Some(3),
            image_url: Some(text.to_owned()),
            objects: vec![],
        };
        let one = Finding {
            kind: FindingKind::LeakedImage,
            severity: FindingKind::LeakedImage.severity(),
            file: text.to_owned(),
            line: Some(3),
            message: text.to_owned(),
            advice: text.to_owned(),
            images: vec![place; 8],
        };
        let report = CheckReport {
            task: Task::ImageClassification,
            parts: vec![CheckedPart { part: DataPart::Test, source: text.to_owned(), rows: 9, images: 8 }],
            classes: vec![CheckedClass { label: text.to_owned(), images: vec![8] }],
            errors: findings as u64,
            warnings: 0,
            notes: 0,
            findings: vec![one; findings],
            suspects: None,
        };
        let thumbnail = Thumbnail::new((8, 6), &[200; 144], 64, text).unwrap();
        CheckPage { report, images: vec![vec![thumbnail]; findings], shown: 2, suspects: Vec::new() }
    }

    #[test]
    fn labels_that_a_model_doubts_are_shown_with_what_it_says() {
        let text = "<b>\"cat\"</b>";
        let mut page = page(text, 1);
        let suspect = Suspect {
            kind: SuspectKind::OtherClass,
            score: 0.875,
            place: page.report.findings[0].images[0].clone(),
            given: None,
            predicted: None,
            message: text.to_owned(),
        };
        page.suspects = vec![page.images[0].clone(); 2];
        page.report.suspects = Some(Suspects {
            model: text.to_owned(),
            images: 9,
            seen: None,
            note: format!("{text}, see --checkpoint"),
            found: 5,
            listed: vec![suspect; 2],
        });
        let html = render_check(&page).unwrap();
        assert!(!html.contains("<b>") && html.contains("<code>--checkpoint</code>"), "{html}");
        assert_eq!((html.matches("0.88").count(), html.matches("data:image/jpeg;base64,").count()), (2, 3));
        assert!(html.contains("3 less suspicious"), "{html}");
    }

    #[test]
    fn the_page_stands_alone_and_escapes_what_it_is_given() {
        let html = render_check(&page("<img src=x onerror=\"alert(1)\">'&", 3)).unwrap();
        assert!(!html.contains("<img src=x") && !html.contains("<script") && !html.contains("http://"), "{html}");
        assert_eq!(html.matches("data:image/jpeg;base64,").count(), 2);
        for part in ["Images in more than one part", "1 more", "2 more", "width=device-width", "leaked_image"] {
            assert!(html.contains(part), "{part}");
        }
        assert!(render_check(&page("x", 0)).unwrap().contains("Nothing was found."));
    }

    #[test]
    fn what_is_to_be_typed_is_told_from_words() {
        let shown = |text| -> String {
            pieces(text).iter().map(|p| if p.code { format!("[{}]", p.text) } else { p.text.to_owned() }).collect()
        };
        assert_eq!(shown("cut (--tile_grid_size) it"), "cut ([--tile_grid_size]) it");
        assert_eq!(shown("--a and --b; `x --c y` z"), "[--a] and [--b]; [x --c y] z");
        assert_eq!(shown("no code <b>"), "no code <b>");
    }
}
