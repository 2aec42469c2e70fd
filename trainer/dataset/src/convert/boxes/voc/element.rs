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
        let mut root: Option<Self> = None;
        loop {
            let event = reader.read_event().map_err(|error| format!("is no XML: {error}"))?;
            let closed = match event {
                // Files that were appended, not joined: what follows would be lost.
                Event::Start(_) | Event::Empty(_) if root.is_some() => {
                    return Err("goes on behind its root element; keep one document in a file".to_owned());
                }
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
                Event::Eof => return root.ok_or_else(|| "ends before its root element does".to_owned()),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => None,
            };
            if let Some(mut closed) = closed {
                closed.text = closed.text.trim().to_owned();
                match open.last_mut() {
                    Some(parent) => parent.children.push(closed),
                    None => root = Some(closed),
                }
            }
        }
    }

    /// The first element of a name directly below this one.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// All elements of a name directly below this one.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The element of a name directly below this one, where there is one, or several that are alike.
    ///
    /// # Errors
    /// There are several that differ.
    pub fn only(&self, name: &str) -> Result<Option<&Self>, String> {
        let first = self.child(name);
        match first.filter(|first| self.all(name).any(|other| other != *first)) {
            None => Ok(first),
            Some(_) => Err(format!("it has {} different {name}", self.all(name).count())),
        }
    }

    /// The text of the first element of a name directly below this one, where it has some and nothing else.
    #[must_use]
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).filter(|child| child.children.is_empty() && !child.text.is_empty()).map(|child| &*child.text)
    }

    /// As [`Self::text_of`], of the only one.
    ///
    /// # Errors
    /// As [`Self::only`].
    pub fn only_text(&self, name: &str) -> Result<Option<&str>, String> {
        self.only(name)?;
        Ok(self.text_of(name))
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
        for (text, wanted) in [
            ("<a><b>1<!-- 5 -->0</b></a>", Some("10")),
            ("<a><b><![CDATA[<x>]]></b></a>", Some("<x>")),
            ("<a><b>1<c/>0</b></a>", None),
            ("<A><B>x</B></A>", Some("x")),
        ] {
            assert_eq!(Element::read(text).unwrap().text_of("b"), wanted, "{text}");
        }
        let twice = Element::read("<a><b>1</b><b>1</b><c>1</c><c>2</c></a>").unwrap();
        assert_eq!(twice.only_text("b"), Ok(Some("1")));
        assert!(twice.only_text("c").unwrap_err().contains("2 different c"));
        assert!(Element::read("<a/>\n<!-- end -->\n").is_ok());
        assert!(Element::read("<a/><a/>").unwrap_err().contains("one document"));
        assert!(Element::read(&"<a>".repeat(40)).unwrap_err().contains("levels"));
    }
}
