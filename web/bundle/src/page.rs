//! The page names its files by their place in `static/`; here it learns where they are served.

/// What stands before a path of ours, in tags and in what a page preloads.
const MARKS: &[&str] = &["href=\"/", "src=\"/"];

/// The page with each file named below the folder. A file that is not there is an error, as a
/// browser would find it too late.
pub(crate) fn refer(
    page: &str,
    folder: &str,
    exists: impl Fn(&str) -> bool,
) -> Result<String, String> {
    let mut told = String::with_capacity(page.len());
    let mut rest = page;
    while let Some(end) = MARKS.iter().filter_map(|mark| Some(rest.find(mark)? + mark.len())).min()
    {
        told.push_str(&rest[..end]);
        rest = &rest[end..];
        let path = rest.split('"').next().unwrap_or_default();
        if exists(path) {
            told.extend([folder, "/"]);
        } else if !path.is_empty() {
            return Err(format!("the page names /{path}, and there is no such file"));
        }
    }
    Ok(told + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(page: &str) -> Result<String, String> {
        refer(page, "assets/1", |path| ["boot.js", "style.css"].contains(&path))
    }

    #[test]
    fn files_are_named_where_they_are_served() {
        let page = "<script src=\"/boot.js\"></script><link href=\"/style.css\"><a href=\"/\">";
        let expected = "<script src=\"/assets/1/boot.js\"></script>\
                        <link href=\"/assets/1/style.css\"><a href=\"/\">";
        assert_eq!(told(page), Ok(expected.into()));
        assert_eq!(told("no names"), Ok("no names".into()));
    }

    #[test]
    fn a_file_that_is_missing_is_told() {
        let missing = told("<link href=\"/style.css\"><img src=\"/none.png\">");
        assert_eq!(missing, Err("the page names /none.png, and there is no such file".into()));
    }
}
