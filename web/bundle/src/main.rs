//! Makes of the compiled dashboard what a browser loads: `bundle MODULE STATIC DIST`.
//!
//! wasm-bindgen puts the JavaScript around the module. The page, `index.html`, lies at the top;
//! all else lies below `assets/` in a folder that is named after what it contains, so that a
//! browser may keep it for ever, and the page is told where. What the program itself names, such as
//! an image of `static/`, lies at the top as well. Beside each file lies the same one compressed,
//! `.br`, which is what the gateway takes.

mod page;

use std::collections::BTreeMap;
use std::error::Error;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use brotli::enc::BrotliEncoderParams;
use wasm_bindgen_cli_support::Bindgen;

const PAGE: &str = "index.html";
/// The best there is, and the largest window that browsers accept.
const QUALITY: i32 = 11;
const WINDOW_BITS: i32 = 24;

/// Contents by path; in their order, so that equal files give equal names.
type Files = BTreeMap<String, Vec<u8>>;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [module, statics, dist] = arguments.as_slice() else {
        return Err("bundle MODULE STATIC DIST".into());
    };
    let mut files = Files::new();
    collect(statics, statics, &mut files)?;
    let page = files.remove(PAGE).ok_or(format!("{} has no {PAGE}", statics.display()))?;
    let named: Vec<String> = files.keys().cloned().collect();
    // It becomes the result in one step, so that nobody finds half of it.
    let fresh = dist.with_extension("new");
    remove(&fresh)?;
    bind(module, &fresh)?;
    collect(&fresh, &fresh, &mut files)?;
    remove(&fresh)?;

    let folder = format!("assets/{}", name(&files));
    let page = page::refer(&String::from_utf8(page)?, &folder, |path| files.contains_key(path))?;
    for (path, content) in &files {
        write(&fresh, &format!("{folder}/{path}"), content)?;
    }
    for path in &named {
        write(&fresh, path, &files[path])?;
    }
    write(&fresh, PAGE, page.as_bytes())?;
    remove(dist)?;
    fs::rename(&fresh, dist)?;
    Ok(())
}

/// The module as a browser can load it, and the JavaScript that does.
fn bind(module: &Path, folder: &Path) -> Result<(), Box<dyn Error>> {
    Bindgen::new()
        .input_path(module)
        .web(true)?
        .typescript(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(folder)?;
    Ok(())
}

fn name(files: &Files) -> String {
    let mut hasher = DefaultHasher::new();
    files.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn collect(root: &Path, folder: &Path, files: &mut Files) -> Result<(), Box<dyn Error>> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
            continue;
        }
        let content = fs::read(&path)?;
        let name = path.strip_prefix(root)?.to_string_lossy().into_owned();
        if files.insert(name, content).is_some() {
            return Err(format!("{} is there twice", path.display()).into());
        }
    }
    Ok(())
}

/// A file and its compressed form.
fn write(folder: &Path, path: &str, content: &[u8]) -> Result<(), Box<dyn Error>> {
    let place = folder.join(path);
    if let Some(folder) = place.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut compressed = Vec::new();
    let parameters = BrotliEncoderParams {
        quality: QUALITY,
        lgwin: WINDOW_BITS,
        size_hint: content.len(),
        ..BrotliEncoderParams::default()
    };
    brotli::BrotliCompress(&mut &*content, &mut compressed, &parameters)?;
    fs::write(&place, content)?;
    fs::write(folder.join(format!("{path}.br")), &compressed)?;
    println!("{:>9} bytes, {:>7} compressed: {path}", content.len(), compressed.len());
    Ok(())
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}
