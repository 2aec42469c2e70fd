//! Writing what was [`Checked`]: all files are made aside, in a folder of their own, and get their names only when all are
//! complete. A failure before that leaves nothing behind; a kill leaves the folder, which the record lists and the next
//! write removes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use tempfile::TempPath;

use crate::digest::{self, Hashing};
use crate::error::{OutputError, Why};
use crate::manifest::{Entry, Manifest, STAGING, Write, is_absent, lock};
use crate::order::{Act, Checked, Place, Planned, Scope, Standing};

/// Files being made.
#[derive(Debug)]
pub struct Writing {
    checked: Checked,
    /// Where each target stands in the list of them.
    numbers: BTreeMap<PathBuf, usize>,
    /// Name of the folder they are made in.
    staging: String,
    /// Held while this program lives, so that no other takes the folder for a dead one's.
    _guard: File,
    /// Folders that were made so that there is a folder to write into, the outermost first.
    made: Vec<PathBuf>,
    /// Of the files that are complete: what they are, by their number among the targets.
    ready: BTreeMap<usize, Entry>,
    published: bool,
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Files of earlier writes that were removed because they no longer belong.
    pub removed: Vec<PathBuf>,
    /// Files of earlier writes that no longer belong but stayed, because somebody changed them or they are read.
    pub kept: Vec<PathBuf>,
}

impl Written {
    /// A line for each file that was kept.
    #[must_use]
    pub fn notes(&self) -> String {
        self.kept
            .iter()
            .map(|path| format!("\nkept, since it is no longer as it was written: {}", path.display()))
            .collect()
    }
}

impl Checked {
    /// Whether anything of this would be replaced.
    #[must_use]
    pub fn replaces(&self) -> bool {
        self.targets.iter().any(|target| target.act == Act::Replace)
    }

    /// Begins: makes the folder, records that something will be written, and makes a place for it.
    ///
    /// # Errors
    /// When the folder cannot be written, or its record cannot be read.
    pub fn begin(self) -> Result<Writing, OutputError> {
        let made = make_folders(&self.root)?;
        let begun = stage(&self);
        match begun {
            Ok((staging, guard)) => {
                let numbers =
                    self.targets.iter().zip(0..).map(|(target, number)| (target.name.clone(), number)).collect();
                let ready = BTreeMap::new();
                Ok(Writing { checked: self, numbers, staging, _guard: guard, made, ready, published: false })
            }
            Err(error) => {
                remove_empty(&made);
                Err(error)
            }
        }
    }
}

fn stage(checked: &Checked) -> Result<(String, File), OutputError> {
    let root = &checked.root;
    let _lock = lock(root)?;
    let mut manifest = Manifest::read(root)?;
    sweep(root, &mut manifest);
    let mut failed = None;
    let made = tempfile::Builder::new().prefix(STAGING).make_in(root, |path| {
        let staging = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let (command, output) = (checked.command.clone(), checked.output.clone());
        let mut recorded = manifest.clone();
        recorded.writes.push(Write { command, output, staging, ..Write::default() });
        if let Err(error) = recorded.write(root) {
            failed = Some(error);
            return Err(io::Error::other("the record"));
        }
        fs::create_dir(path)
    });
    let staged = made.and_then(|made| Ok(made.into_temp_path().keep()?));
    let path = match (staged, failed) {
        (Ok(path), _) => path,
        (Err(_), Some(error)) => return Err(error),
        (Err(error), None) => return Err(OutputError::io("write into", root)(error)),
    };
    let guard = File::open(&path).map_err(OutputError::io("open", &path))?;
    let _ = guard.lock();
    Ok((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), guard))
}

/// Removes what killed writes left behind; the caller holds the lock of the record.
fn sweep(root: &Path, manifest: &mut Manifest) {
    for write in &mut manifest.writes {
        let Some(staging) = &write.staging else { continue };
        if remove_staging(&root.join(staging)) {
            write.staging = None;
        }
    }
    manifest.writes.retain(|write| write.staging.is_some() || !write.files.is_empty());
}

/// Removes a folder in which files were made, unless the program that makes them is alive. Gives whether it is gone.
fn remove_staging(path: &Path) -> bool {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => return true,
        Err(error) => return is_absent(&error),
    }
    let Ok(folder) = File::open(path) else { return false };
    if folder.try_lock().is_err() {
        return false;
    }
    empty_staging(path);
    fs::remove_dir(path).is_ok()
}

/// Files that are being made are named by numbers.
fn empty_staging(path: &Path) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        let numbered = entry.file_name().to_str().is_some_and(|name| name.parse::<usize>().is_ok());
        if numbered && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

impl Writing {
    /// Makes one of the files that were checked, with what `fill` writes.
    ///
    /// # Errors
    /// Any IO error.
    pub fn write(
        &mut self,
        name: impl AsRef<Path>,
        fill: impl FnOnce(&mut dyn io::Write) -> io::Result<()>,
    ) -> Result<(), OutputError> {
        let (number, path) = self.place(name.as_ref());
        let made = || -> io::Result<String> {
            let mut out = Hashing::new(BufWriter::new(File::create_new(&path)?));
            fill(&mut out)?;
            out.flush()?;
            File::open(&path)?.sync_all()?;
            Ok(out.finish())
        };
        let sha256 = made().map_err(OutputError::io("write", &self.checked.root.join(name.as_ref())))?;
        self.ready.insert(number, Entry { sha256, linked: false });
        Ok(())
    }

    /// Makes one of the files that were checked as a copy of another; where it is that file, it stays.
    ///
    /// # Errors
    /// Any IO error.
    pub fn copy(&mut self, name: impl AsRef<Path>, from: &Path) -> Result<(), OutputError> {
        if self.target(name.as_ref()).1.act == Act::Leave {
            return Ok(());
        }
        let mut source = File::open(from).map_err(OutputError::io("open", from))?;
        self.write(name, |out| io::copy(&mut source, out).map(drop))
    }

    /// Makes one of the files that were checked as a hard link to another; where it is that file, it stays.
    ///
    /// # Errors
    /// Any IO error; above all, links lead to no other file system.
    pub fn link(&mut self, name: impl AsRef<Path>, from: &Path) -> Result<(), OutputError> {
        if self.target(name.as_ref()).1.act == Act::Leave {
            return Ok(());
        }
        let (number, path) = self.place(name.as_ref());
        // A symbolic link would itself be linked.
        let linked = fs::canonicalize(from).and_then(|from| fs::hard_link(from, &path));
        linked.map_err(OutputError::io("link (leave --link out to copy)", from))?;
        let sha256 = digest::of_file(&path).map_err(OutputError::io("read", from))?;
        self.ready.insert(number, Entry { sha256, linked: true });
        Ok(())
    }

    /// Where to make one of the files by other means; tell [`Writing::made`] when it is complete.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.place(name.as_ref()).1
    }

    /// Says that a file at its [`Writing::path`] is complete.
    ///
    /// # Errors
    /// Any IO error.
    pub fn made(&mut self, name: impl AsRef<Path>) -> Result<(), OutputError> {
        let (number, path) = self.place(name.as_ref());
        let synced = File::open(&path).and_then(|file| file.sync_all()).and_then(|()| digest::of_file(&path));
        let sha256 = synced.map_err(OutputError::io("write", &self.checked.root.join(name.as_ref())))?;
        self.ready.insert(number, Entry { sha256, linked: false });
        Ok(())
    }

    /// Gives all files their names, and removes what earlier writes made that no longer belongs.
    ///
    /// # Errors
    /// When something has come into the way since it was checked: what got its name already is then removed again. Any IO
    /// error.
    pub fn publish(mut self) -> Result<Written, OutputError> {
        let root = self.checked.root.clone();
        let _lock = lock(&root)?;
        let mut manifest = Manifest::read(&root)?;
        let files = self.files();
        self.recorded(&mut manifest).files.clone_from(&files);
        // From here on a file that has its name is known by its contents.
        manifest.write(&root)?;
        let mut done = Done::default();
        if let Err(error) = self.name_all(&manifest, &mut done) {
            self.undo(&mut manifest, &done);
            return Err(error);
        }
        let folders = done.folders.iter().filter_map(|path| path.strip_prefix(&root).ok()?.to_str());
        let folders: Vec<String> = folders.map(str::to_owned).collect();
        self.recorded(&mut manifest).folders.extend(folders);
        let written = self.supersede(&mut manifest)?;
        self.published = true;
        self.clear();
        self.recorded(&mut manifest).staging = None;
        manifest.writes.retain(|write| write.staging.is_some() || !write.files.is_empty());
        manifest.write(&root)?;
        Ok(written)
    }

    fn target(&self, name: &Path) -> (usize, &Planned) {
        let number = *self.numbers.get(name).expect("only what was checked is written");
        (number, &self.checked.targets[number])
    }

    /// Number of a target, and where its file is made.
    fn place(&self, name: &Path) -> (usize, PathBuf) {
        let (number, _) = self.target(name);
        (number, self.checked.root.join(&self.staging).join(number.to_string()))
    }

    /// This write in the record.
    fn recorded<'a>(&self, manifest: &'a mut Manifest) -> &'a mut Write {
        let own = |write: &Write| write.staging.as_deref() == Some(&self.staging);
        let at = manifest.writes.iter().position(own).unwrap_or_else(|| {
            // Somebody removed the record in the meantime.
            let (command, output) = (self.checked.command.clone(), self.checked.output.clone());
            manifest.writes.push(Write { command, output, staging: Some(self.staging.clone()), ..Write::default() });
            manifest.writes.len() - 1
        });
        &mut manifest.writes[at]
    }

    /// Files that are complete, as the record lists them. What has a name that is no UTF-8 cannot be listed.
    fn files(&self) -> BTreeMap<String, Entry> {
        let listed = |(number, entry): (&usize, &Entry)| {
            Some((self.checked.targets[*number].name.to_str()?.to_owned(), entry.clone()))
        };
        self.ready.iter().filter_map(listed).collect()
    }

    fn name_all(&self, manifest: &Manifest, done: &mut Done) -> Result<(), OutputError> {
        let root = &self.checked.root;
        let place = Place { root, manifest, reads: &self.checked.reads };
        let mut parents = BTreeSet::from([root.clone()]);
        for number in self.ready.keys() {
            let target = &self.checked.targets[*number];
            let (path, made) = (root.join(&target.name), root.join(&self.staging).join(number.to_string()));
            let parent = path.parent().unwrap_or(root).to_owned();
            make_below(root, &target.name, &mut done.folders)?;
            match target.act {
                Act::Create => {
                    let free = TempPath::try_from_path(&made).map_err(OutputError::io("write", &path))?;
                    free.persist_noclobber(&path).map_err(|failed| match failed.error.kind() {
                        io::ErrorKind::AlreadyExists => OutputError::one(&path, Why::NotOurs),
                        _ => OutputError::io("write", &path)(failed.error),
                    })?;
                    done.created.push(path);
                }
                Act::Replace => match place.standing(&target.name)? {
                    Standing::Free | Standing::Ours(_) => {
                        fs::rename(&made, &path).map_err(OutputError::io("write", &path))?;
                        done.replaced.push(target.name.clone());
                    }
                    Standing::Theirs(path, why) => return Err(OutputError::one(&path, why)),
                },
                Act::Leave => {}
            }
            parents.insert(parent);
        }
        for parent in parents {
            File::open(&parent).and_then(|folder| folder.sync_all()).map_err(OutputError::io("write", &parent))?;
        }
        Ok(())
    }

    /// Takes back what got its name before another could not.
    fn undo(&mut self, manifest: &mut Manifest, done: &Done) {
        done.created.iter().for_each(|path| drop(fs::remove_file(path)));
        remove_empty(&done.folders);
        let own = self.recorded(manifest);
        own.files.retain(|name, _| done.replaced.iter().any(|replaced| replaced.to_str() == Some(name)));
        let _ = manifest.write(&self.checked.root);
    }

    /// Takes over what earlier writes made: files of the same names, and those that no longer belong.
    fn supersede(&self, manifest: &mut Manifest) -> Result<Written, OutputError> {
        let c = &self.checked;
        let before = manifest.clone();
        let place = Place { root: &c.root, manifest: &before, reads: &c.reads };
        let targets: BTreeSet<&str> = c.targets.iter().filter_map(|target| target.name.to_str()).collect();
        let mut own = self.recorded(manifest).clone();
        let written_now = own.files.clone();
        let mut written = Written::default();
        for write in &mut manifest.writes {
            if write.staging.is_some() {
                continue;
            }
            let shares = write.files.keys().any(|name| targets.contains(name.as_str()));
            let replaced = match c.scope {
                Scope::Whole => c.overwrite,
                Scope::Parts => c.overwrite && shares,
                Scope::Each => false,
            } && (&write.command, &write.output) == (&c.command, &c.output);
            write.files.retain(|name, _| !written_now.contains_key(name));
            if !replaced {
                continue;
            }
            own.folders.append(&mut write.folders);
            for (name, entry) in std::mem::take(&mut write.files) {
                let path = c.root.join(&name);
                match place.standing(Path::new(&name))? {
                    Standing::Free => {}
                    // It is where it belongs already, or something is made from it.
                    Standing::Ours(_) if targets.contains(name.as_str()) => drop(own.files.insert(name, entry)),
                    Standing::Ours(found) if c.reads.contains(&found) => drop(own.files.insert(name, entry)),
                    Standing::Ours(_) => {
                        fs::remove_file(&path).map_err(OutputError::io("remove", &path))?;
                        written.removed.push(path);
                    }
                    Standing::Theirs(..) => written.kept.push(path),
                }
            }
        }
        let mut folders: Vec<PathBuf> = own.folders.iter().map(|name| c.root.join(name)).collect();
        folders.sort();
        folders.dedup();
        remove_empty(&folders);
        own.folders.retain(|name| c.root.join(name).is_dir());
        *self.recorded(manifest) = own;
        Ok(written)
    }

    fn clear(&self) {
        let staging = self.checked.root.join(&self.staging);
        empty_staging(&staging);
        let _ = fs::remove_dir(&staging);
    }
}

/// Nothing has its name yet: what was made aside goes, and the record is as it was.
impl Drop for Writing {
    fn drop(&mut self) {
        if self.published {
            return;
        }
        let root = &self.checked.root;
        let Ok(_lock) = lock(root) else { return };
        self.clear();
        if let Ok(mut manifest) = Manifest::read(root) {
            let own = self.recorded(&mut manifest);
            own.staging = None;
            manifest.writes.retain(|write| write.staging.is_some() || !write.files.is_empty());
            let _ = manifest.write(root);
        }
        remove_empty(&self.made);
    }
}

/// What has been done of a write.
#[derive(Default)]
struct Done {
    created: Vec<PathBuf>,
    replaced: Vec<PathBuf>,
    /// Folders that were made.
    folders: Vec<PathBuf>,
}

/// Makes a folder and those above it that are not there; gives those that were made, the outermost first.
fn make_folders(path: &Path) -> Result<Vec<PathBuf>, OutputError> {
    let mut made = Vec::new();
    let missing = |path: &&Path| !path.as_os_str().is_empty() && !path.is_dir();
    let missing: Vec<&Path> = path.ancestors().take_while(missing).collect();
    for folder in missing.into_iter().rev() {
        make_folder(folder, &mut made)?;
    }
    Ok(made)
}

/// Makes the folders that a file below `root` needs. None of them may be a link.
fn make_below(root: &Path, name: &Path, made: &mut Vec<PathBuf>) -> Result<(), OutputError> {
    let mut path = root.to_owned();
    for part in name.parent().into_iter().flat_map(Path::components) {
        path.push(part);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => {}
            Ok(found) if found.is_symlink() => return Err(OutputError::one(&path, Why::Link)),
            Ok(_) => return Err(OutputError::one(&path, Why::File)),
            Err(_) => make_folder(&path, made)?,
        }
    }
    Ok(())
}

fn make_folder(path: &Path, made: &mut Vec<PathBuf>) -> Result<(), OutputError> {
    match fs::create_dir(path) {
        Ok(()) => made.push(path.to_owned()),
        // Another program was faster.
        Err(_) if path.is_dir() => {}
        Err(error) => {
            remove_empty(made);
            return Err(OutputError::io("make", path)(error));
        }
    }
    Ok(())
}

/// Removes folders that are empty, the innermost (last) first.
fn remove_empty(folders: &[PathBuf]) {
    for folder in folders.iter().rev() {
        if !folder.is_symlink() {
            let _ = fs::remove_dir(folder);
        }
    }
}
