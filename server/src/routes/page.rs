//! The page at `/` and its parts, all inside the program; the metrics and the description of the interface.

use actix_web::{
    HttpResponse,
    body::MessageBody,
    http::header::{self, ContentType},
    web::Data,
};

use crate::{openapi, state::State};

/// Scripts, styles and requests: our own only. Images: our own, and those that the page makes of files on the visitor's
/// machine.
const POLICY: &str = "default-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'none'; \
                      form-action 'self'; frame-ancestors 'none'";

/// A part of a page, under the page's own policy.
pub(super) fn part(policy: &'static str, content_type: &'static str, body: impl MessageBody + 'static) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, content_type))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::CONTENT_SECURITY_POLICY, policy))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .body(body)
}

pub(crate) async fn index() -> HttpResponse {
    part(POLICY, "text/html; charset=utf-8", include_str!("../../web/index.html"))
}

pub(crate) async fn script() -> HttpResponse {
    part(POLICY, "text/javascript; charset=utf-8", include_str!("../../web/app.js"))
}

pub(crate) async fn style() -> HttpResponse {
    part(POLICY, "text/css; charset=utf-8", include_str!("../../web/app.css"))
}

pub(crate) async fn icon() -> HttpResponse {
    part(POLICY, "image/svg+xml", include_str!("../../web/icon.svg"))
}

pub(crate) async fn openapi() -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::json()).body(openapi::document())
}

pub(crate) async fn metrics(state: Data<State>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"))
        .body(state.render_metrics())
}

#[cfg(test)]
mod tests {
    /// Selector and declarations of each rule, those within `@media` included.
    fn rules(css: &str) -> Vec<(String, Vec<(String, String)>)> {
        let without_comments: String =
            css.split("/*").map(|part| part.split_once("*/").map_or(part, |(_, rest)| rest)).collect();
        let mut rules = Vec::new();
        for block in without_comments.split('}') {
            let Some((before, declarations)) = block.rsplit_once('{') else { continue };
            let selector = before.rsplit('{').next().unwrap_or_default().trim().to_owned();
            let pairs = declarations.split(';').filter_map(|d| d.split_once(':'));
            rules.push((selector, pairs.map(|(k, v)| (k.trim().to_owned(), v.trim().to_owned())).collect()));
        }
        rules
    }

    /// The box that an image and its detections are shown in takes its width from its column. Whatever else gives it one, a ratio
    /// with a height among them, makes it stick out on a narrow screen, and the card hides what does.
    #[test]
    fn an_image_is_never_wider_than_its_card() {
        let rules = rules(include_str!("../../web/app.css"));
        let boxes: Vec<_> = rules
            .iter()
            .filter(|(selector, _)| selector.split(',').any(|s| s.trim().ends_with(".image-frame")))
            .collect();
        assert!(boxes.len() >= 3, "{boxes:?}");
        for (selector, declarations) in boxes {
            for (name, value) in declarations {
                let widens =
                    ["aspect-ratio", "width", "min-width", "inline-size", "min-inline-size"].contains(&name.as_str());
                assert!(!widens, "{selector} {{ {name}: {value} }}");
            }
        }
        let parts: Vec<_> =
            rules.iter().filter(|(s, _)| s == ".image-frame img" || s == ".image-frame canvas").collect();
        assert_eq!(parts.len(), 2, "{parts:?}");
        for (selector, declarations) in parts {
            for (name, value) in [("position", "absolute"), ("inset", "0"), ("width", "100%"), ("height", "100%")] {
                assert!(
                    declarations.contains(&(name.to_owned(), value.to_owned())),
                    "{selector} lacks {name}: {value}"
                );
            }
        }
    }
}
