//! The paths that there are, and what each is called.

/// Paths, in the notation of the OpenAPI document, with the name that each has in the metrics.
pub const ROUTES: [(&str, &str); 29] = [
    ("/", "page"),
    ("/assets/app.js", "page"),
    ("/assets/app.css", "page"),
    ("/assets/icon.svg", "page"),
    ("/docs", "page"),
    ("/docs/viewer.js", "page"),
    ("/docs/viewer.css", "page"),
    ("/docs/swagger-ui.js", "page"),
    ("/docs/swagger-ui.css", "page"),
    ("/docs/license.txt", "page"),
    ("/score", "score"),
    ("/metrics", "metrics"),
    ("/openapi.json", "openapi"),
    ("/swagger.json", "openapi"),
    ("/healthz", "live"),
    ("/v2", "v2_server"),
    ("/v2/health/live", "live"),
    ("/v2/health/ready", "ready"),
    ("/v2/repository/index", "v2_index"),
    ("/v2/repository/models/{model}/load", "v2_load"),
    ("/v2/repository/models/{model}/unload", "v2_unload"),
    ("/v2/models/stats", "v2_stats"),
    ("/v2/models/{model}", "v2_model"),
    ("/v2/models/{model}/config", "v2_config"),
    ("/v2/models/{model}/stats", "v2_stats"),
    ("/v2/models/{model}/ready", "v2_ready"),
    ("/v2/models/{model}/infer", "v2_infer"),
    ("/v2/models/{model}/versions/{version}", "v2_model"),
    ("/v2/models/{model}/versions/{version}/{call}", "v2_versioned"),
];

/// Name of the route that a path belongs to, with or without a slash at its end, `other` when it belongs to none. Never a piece of
/// the path itself, so that clients cannot make up metrics.
#[must_use]
pub fn route_name(path: &str) -> &'static str {
    let path = path.strip_suffix('/').filter(|rest| !rest.is_empty() && !rest.ends_with('/')).unwrap_or(path);
    let matches = |pattern: &str| {
        let (mut pattern, mut path) = (pattern.split('/'), path.split('/'));
        loop {
            match (pattern.next(), path.next()) {
                (None, None) => return true,
                (Some(p), Some(s)) if p == s || p.starts_with('{') => {}
                _ => return false,
            }
        }
    };
    match ROUTES.iter().find(|(pattern, _)| matches(pattern)) {
        Some((_, "v2_versioned")) if path.ends_with("/infer") => "v2_infer",
        Some((_, "v2_versioned")) if path.ends_with("/ready") => "v2_ready",
        Some((_, "v2_versioned")) if path.ends_with("/config") => "v2_config",
        Some((_, "v2_versioned")) if path.ends_with("/stats") => "v2_stats",
        Some((_, "v2_versioned")) | None => "other",
        Some((_, name)) => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_bounded_names() {
        for (path, name) in [
            ("/", "page"),
            ("/docs/", "page"),
            ("/docs/viewer.js", "page"),
            ("/docs/other.js", "other"),
            ("/score", "score"),
            ("/v2/models/x/infer", "v2_infer"),
            ("/v2/models/x/versions/1/infer", "v2_infer"),
            ("/v2/models/x/versions/1/ready", "v2_ready"),
            ("/v2/models/x/versions/1", "v2_model"),
            ("/v2/models/x/versions/1/stats", "v2_stats"),
            ("/v2/models/x/config/", "v2_config"),
            ("/v2/models/stats", "v2_stats"),
            ("/healthz", "live"),
            ("/v2/models/x/versions/1/other", "other"),
            ("/v2/models", "other"),
            ("/score/", "score"),
            ("/score//", "other"),
            ("//", "other"),
            ("/../etc/passwd", "other"),
            ("", "other"),
        ] {
            assert_eq!(route_name(path), name, "{path}");
        }
    }
}
