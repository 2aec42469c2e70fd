//! XML as a tree of elements, whatever their order and namespaces.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// Elements deeper than this are no annotation.
const DEPTH: usize = 32;

/// An element: its name without a namespace, in small letters, the text in it, and the elements in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// Name.
    pub name: String,
    /// Text, without blanks around it.
    pub text: String,
    /// Elements directly below it, in their order.
    pub children: Vec<Element>,
}

impl Element {
    /// Reads a document.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut reader = Reader::from_str(text);
        let mut open: Vec<Self> = Vec::new();
        loop {
            let event = reader.read_event().map_err(|error| format!("is no XML: {error}"))?;
            let closed = match event {
                Event::Start(_) if open.len() >= DEPTH => return Err(format!("has more than {DEPTH} levels")),
                Event::Start(start) => {
                    open.push(Self::named(&start));
                    None
                }
                Event::Empty(start) => Some(Self::named(&start)),
                Event::End(_) => open.pop(),
                Event::Text(text) => {
                    let text = text.decode().map_err(|error| format!("is no text: {error}"))?;
                    append(&mut open, &text);
                    None
                }
                Event::CData(data) => {
                    let text = data.decode().map_err(|error| format!("is no text: {error}"))?;
                    append(&mut open, &text);
                    None
                }
                Event::GeneralRef(reference) => {
                    append(&mut open, &meant(&reference)?);
                    None
                }
                Event::Eof => return Err("ends before its root element does".to_owned()),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => None,
            };
            if let Some(mut closed) = closed {
                closed.text = closed.text.trim().to_owned();
                match open.last_mut() {
                    Some(parent) => parent.children.push(closed),
                    None => return Ok(closed),
                }
            }
        }
    }

    /// The first element of a name directly below this one.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of that element, where it has some.
    #[must_use]
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str()).filter(|text| !text.is_empty())
    }

    fn named(start: &BytesStart) -> Self {
        let name = String::from_utf8_lossy(start.local_name().as_ref()).to_lowercase();
        Self { name, ..Self::default() }
    }
}

fn append(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

/// What `&amp;` or `&#65;` stands for.
fn meant(reference: &quick_xml::events::BytesRef) -> Result<String, String> {
    let name = reference.decode().map_err(|error| format!("is no text: {error}"))?;
    if let Ok(Some(letter)) = reference.resolve_char_ref() {
        return Ok(letter.to_string());
    }
    quick_xml::escape::resolve_predefined_entity(&name)
        .map(str::to_owned)
        .ok_or_else(|| format!("has the unknown reference &{name};"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_a_tree() {
        let text = "<?xml version='1.0'?><!-- x --><a:Annotation xmlns:a='x'><name> R&amp;D &#65; </name><b/><b>2</b></a:Annotation>";
        let root = Element::read(text).unwrap();
        assert_eq!((root.name.as_str(), root.children.len()), ("annotation", 3));
        assert_eq!(root.text_of("name"), Some("R&D A"));
        assert_eq!(root.text_of("b"), None);
        for (text, part) in [("<a>", "ends before"), ("<a></b>", "no XML"), ("<a>&x;</a>", "&x;"), ("", "ends before")]
        {
            let message = Element::read(text).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
        assert!(Element::read(&"<a>".repeat(40)).unwrap_err().contains("levels"));
    }
}
