//! What is read, what the example file lists, and what the README documents are one list.
//!
//! `UPDATE_DOCUMENTS=1 cargo test -p z2api-config` writes the two documents anew.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Write;

use super::*;

/// How wide the example file may be.
const WIDTH: usize = 98;

/// Holds `document` to what it should be, or writes it.
fn check(document: &str, is: impl Fn(&str) -> String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(document);
    let text = std::fs::read_to_string(&path).expect("the document");
    let wanted = is(&text);
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        std::fs::write(&path, wanted).unwrap();
    } else if text != wanted {
        let differs = wanted.lines().zip(text.lines()).find(|(wanted, found)| wanted != found);
        panic!("{document} is out of date (UPDATE_DOCUMENTS=1 writes it): {differs:?}");
    }
}

#[test]
fn every_variable_is_read_and_every_variable_read_is_documented() {
    let asked = RefCell::new(BTreeSet::new());
    let _ = Config::from_lookup(&Flags::default(), &|name| {
        asked.borrow_mut().insert(name.to_owned());
        None
    });
    let documented = VARIABLES.iter().map(|variable| variable.name.to_owned()).collect();
    assert_eq!(asked.into_inner(), documented);
}

#[test]
fn the_readme_lists_every_variable_with_its_default_and_meaning() {
    let head = "| variable | default | meaning |\n| --- | --- | --- |\n";
    let rows: String = VARIABLES
        .iter()
        .map(|v| format!("| `{}` | {} | {} |\n", v.name, v.default, v.meaning))
        .collect();
    check("README.md", |readme| {
        let (before, rest) = readme.split_once(head).expect("the table's head");
        let end = rest.find("\n\n").expect("an end of the table") + 1;
        format!("{before}{head}{rows}{}", &rest[end..])
    });
}

#[test]
fn the_example_file_lists_every_variable_with_its_default_and_meaning() {
    check("deploy/.env.example", |_| {
        let mut text = "# The settings of z2api. Every line is a comment: what is not set has its \
                        default.\n# Remove the leading # of a line to set it.\n"
            .to_owned();
        for variable in VARIABLES {
            text.push_str(&entry(variable));
        }
        text
    });
}

/// A variable as it stands in the example file.
fn entry(variable: &Variable) -> String {
    let mut text = "\n#".to_owned();
    let mut width = 1;
    for word in variable.meaning.replace('`', "").split(' ') {
        let length = word.chars().count() + 1;
        if width + length > WIDTH {
            text.push_str("\n#");
            width = 1;
        }
        text.push(' ');
        text.push_str(word);
        width += length;
    }
    let default = match variable.default.trim_matches('`') {
        // What is no value, but the word for one.
        "none" | "random" | "built-in" | "z2api/VERSION" => "",
        by if by.starts_with("by ") => "",
        value => value,
    };
    writeln!(text, "\n#{}={default}", variable.name).unwrap();
    text
}

#[test]
fn the_documented_defaults_hold() {
    let config = load(&[]).unwrap();
    for (variable, effective) in VARIABLES.iter().zip(&config.effective) {
        let documented = variable.default.trim_matches('`');
        if documented.starts_with("by ") || documented == "z2api/VERSION" {
            continue;
        }
        assert_eq!(effective.value, documented, "{}", variable.name);
    }
}

#[test]
fn the_troubleshooting_names_no_variable_that_does_not_exist() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = std::fs::read_to_string(path).expect("the README");
    let (_, section) = readme.split_once("### When it does not work\n").expect("the section");
    let (section, _) = section.split_once("\n## ").expect("its end");
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_variable =
        |word: &&str| word.contains('_') && !word.bytes().any(|byte| byte.is_ascii_lowercase());
    let named: BTreeSet<&str> = section.split(|c| !is_part(c)).filter(is_variable).collect();
    let known: BTreeSet<&str> = VARIABLES.iter().map(|variable| variable.name).collect();
    assert!(named.len() > 15 && named.is_subset(&known), "{:?}", named.difference(&known));
}
